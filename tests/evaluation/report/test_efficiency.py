"""Times of refreshes, training steps and searches."""

import pytest

from ance.evaluation.report.efficiency import duration, efficiency_section
from ance.evaluation.report.section import Section
from tests.evaluation.report.pictures import assert_drawable, figures, missing, tables, traces
from tests.evaluation.report.records import refresh_records, step_records

LATENCIES = {"encode": [0.002] * 9, "search": [0.0001, 0.0002, 0.0009], "bm25": [0.01], "rerank": [1.5]}


def section(**changes: object) -> Section:
    values = {"steps": step_records(), "refreshes": refresh_records(), "latencies": LATENCIES, "depth": 100}
    return efficiency_section(**{**values, **changes}, command="ance up", reranker_command="ance reranker train")  # type: ignore[arg-type]


def test_the_table_gives_median_and_p95_with_units_and_n() -> None:
    (table,) = tables(section())
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["a refresh, whole"] == ("10 s", "10 s", "3")
    assert rows["— encode 500 queries and passages"] == ("8 s", "8 s", "3")
    assert rows["— the same for one of them"] == ("16 ms", "16 ms", "3")
    assert rows["a training step"] == ("500 ms", "500 ms", "60")
    assert rows["search the index"] == ("200 µs", "830 µs", "3")
    assert rows["rerank 100 BM25 passages with BERT"] == ("1.5 s", "1.5 s", "1")


def test_the_phases_of_a_refresh_add_up_to_it() -> None:
    whole = section()
    assert_drawable(whole)
    phases = traces(figures(whole)["refresh-cost"])
    assert [sum(column) for column in zip(*(trace["y"] for trace in phases.values()), strict=True)] == [10.0] * 3
    assert "Encoding takes 80% of the time of 3 refreshes" in figures(whole)["refresh-cost"].caption


def test_without_a_reranker_it_says_how_to_train_one() -> None:
    without = section(latencies={"search": [0.1]})
    assert [part.command for part in missing(without)] == ["ance reranker train"]


def test_before_the_first_refresh_it_says_what_to_run() -> None:
    empty = section(steps=[], refreshes=[], latencies={})
    assert [part.command for part in missing(empty)] == ["ance up"]
    assert not tables(empty)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(34.96, "35 s"), (1234.5, "1,234 s"), (1.0, "1 s"), (0.0225, "22.5 ms"), (0.000321, "321 µs"), (0.0, "0 µs")],
)
def test_a_duration_has_the_unit_that_makes_it_readable(seconds: float, text: str) -> None:
    assert duration(seconds) == text
