"""What `ance probe` found, as a section."""

import inspect

from ance.cli import probe as command
from ance.evaluation.report.probe import COLUMNS, probe_section
from tests.evaluation.report.pictures import assert_drawable, figures, missing, tables, traces
from tests.evaluation.report.records import probe


def test_every_kind_is_a_row_the_hardest_first() -> None:
    (table,) = tables(probe_section(probe(), "ance probe"))
    assert table.head[0] == "negatives" and len(table.head) == len(COLUMNS) + 1
    assert [row[0] for row in table.rows] == ["ANCE", "BM25", "hardest in batch", "in-batch", "random"]
    assert table.rows[0] == ("ANCE", "64", "0.7", "4", "0.4", "8", "2", "1")


def test_the_caption_orders_the_kinds_by_what_was_measured() -> None:
    found = probe()
    found["kinds"]["random"]["gradient_norm"] = 9.0
    caption = figures(probe_section(found, ""))["probe"].caption
    assert caption.endswith("random 9 > ANCE 4 > BM25 3 > hardest in batch 2.5 > in-batch 2.")


def test_exact_norms_and_bounds_stand_beside_each_other() -> None:
    section = probe_section(probe(), "")
    assert_drawable(section)
    bars = traces(figures(section)["probe"])
    assert bars["exact"]["y"] == [4, 3, 2.5, 2, 1] and bars["bound"]["y"] == [8, 6, 5, 4, 2]


def test_without_a_probe_it_says_what_to_run() -> None:
    assert [part.command for part in missing(probe_section(None, "ance probe --run x"))] == ["ance probe --run x"]


def test_it_reads_the_names_that_the_probe_writes() -> None:
    written = inspect.getsource(command)
    for name in (*COLUMNS, "rank_correlation", "candidates", "kinds", "step", "dataset"):
        assert f'"{name}":' in written, name
