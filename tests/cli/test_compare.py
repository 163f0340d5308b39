"""`ance compare`: two runs under the same qrels."""

import gzip
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Ance


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Ten queries; the one run finds what is relevant first, the other second."""
    queries = range(10)
    (tmp_path / "qrels").write_text("".join(f"q{query} 0 a 1\n" for query in queries))
    (tmp_path / "worse.run").write_text("".join(f"q{q} Q0 b 1 2.0 x\nq{q} Q0 a 2 1.0 x\n" for q in queries))
    (tmp_path / "better.run").write_text("".join(f"q{q} Q0 a 1 2.0 y\nq{q} Q0 b 2 1.0 y\n" for q in queries))
    return tmp_path / "worse.run", tmp_path / "better.run", tmp_path / "qrels"


def test_means_difference_and_p_are_shown_for_each_measure(ance: Ance, files: tuple[Path, Path, Path]) -> None:
    worse, better, qrels = files
    ended = ance("compare", worse, better, "--qrels", qrels)
    assert ended.status == 0, ended.err
    a, b, queries, head, *rows = ended.out.splitlines()
    assert (a, b, queries) == (f"A {worse}", f"B {better}", "10 queries")
    assert head.split() == ["measure", "A", "B", "B", "-", "A", "p"]
    name, mean_a, mean_b, difference, p = rows[0].split()
    assert (name, mean_a, mean_b, difference) == ("RR@10", "0.5000", "1.0000", "+0.5000")
    assert float(p) == pytest.approx(2 / 2**10, abs=0.001), "all ten differences on one side, either one"
    assert [row.split()[0] for row in rows] == ["RR@10", "AP@10", "nDCG@10", "R@100", "R@1000"]


def test_measures_can_be_chosen_and_printed_as_json(ance: Ance, files: tuple[Path, Path, Path]) -> None:
    worse, better, qrels = files
    compared = json.loads(ance("compare", better, worse, "--qrels", qrels, "--measure", "P@1", "--json").out)
    assert set(compared) == {"P@1"}
    assert (compared["P@1"]["difference"], compared["P@1"]["queries"]) == (-1.0, 10)


def test_what_cannot_be_measured_is_one_line(ance: Ance, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    worse, better, qrels = files
    assert (
        "there is no measure 'MMR@10'" in ance("compare", worse, better, "--qrels", qrels, "--measure", "MMR@10").error
    )
    assert "No such file" in ance("compare", worse, tmp_path / "none", "--qrels", qrels).error
    kept = worse.read_text()
    worse.write_text(kept.replace("q", "Q"))
    error = ance("compare", worse, better, "--qrels", qrels).error
    assert "none of the 10 queries with a relevant passage is in the run, whose first is 'Q0'" in error


def test_queries_that_a_run_lacks_are_counted(ance: Ance, files: tuple[Path, Path, Path]) -> None:
    worse, better, qrels = files
    better.write_text("".join(better.read_text().splitlines(keepends=True)[:14]))
    ended = ance("compare", worse, better, "--qrels", qrels, "--measure", "RR@10")
    assert f"{better} lacks 3 of 10 queries: they count as 0" in ended.err
    assert ended.out.splitlines()[-1].split()[1:3] == ["0.5000", "0.7000"]


def test_a_measure_has_its_value_under_each_of_its_names(ance: Ance, files: tuple[Path, Path, Path]) -> None:
    worse, better, qrels = files
    names = ("--measure", "RR@10", "--measure", "MRR@10")
    compared = json.loads(ance("compare", worse, better, "--qrels", qrels, *names, "--json").out)
    assert compared["RR@10"] == compared["MRR@10"] and compared["RR@10"]["mean_a"] == 0.5


def test_compressed_runs_are_read(ance: Ance, files: tuple[Path, Path, Path]) -> None:
    worse, better, qrels = files
    packed = better.with_suffix(".run.gz")
    packed.write_bytes(gzip.compress(better.read_bytes()))
    assert "1.0000" in ance("compare", worse, packed, "--qrels", qrels).out
