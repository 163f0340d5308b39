"""The table of systems."""

from ance.evaluation.report.systems import systems_section
from ance.evaluation.report.theme import LIGHT
from tests.evaluation.report.pictures import assert_drawable, figures, missing, tables
from tests.evaluation.report.records import scores


def test_every_system_is_a_row_and_every_measure_a_column() -> None:
    (table,) = tables(systems_section(scores(), "ance eval"))
    assert table.head == ("system", "RR@10", "R@100")
    assert table.rows[0] == ("BM25", "0.270", "0.670")
    assert [row[0] for row in table.rows] == ["BM25", "start model", "warm-up", "ANCE"]


def test_the_caption_says_who_is_best_and_by_how_much() -> None:
    caption = figures(systems_section(scores(), "ance eval"))["systems"].caption
    assert caption.startswith("ANCE ranks the first relevant passage highest: RR@10 0.440, +10.0% against the warm-up")


def test_where_bm25_is_best_the_caption_says_so() -> None:
    measured = scores()
    measured["systems"]["bm25"]["RR@10"] = 0.9
    assert figures(systems_section(measured, ""))["systems"].caption.startswith("BM25 ranks")


def test_the_bars_are_the_first_measure() -> None:
    section = systems_section(scores(), "ance eval")
    assert_drawable(section)
    (bars,) = figures(section)["systems"].draw(LIGHT)["data"]
    assert bars["x"] == [0.27, 0.11, 0.40, 0.44]


def test_without_scores_it_says_what_to_run() -> None:
    section = systems_section(None, "ance eval --run tiny")
    assert [part.command for part in missing(section)] == ["ance eval --run tiny"]
    assert not figures(section)


def test_what_says_nothing_about_quality_is_no_column() -> None:
    measured = scores()
    for name, values in measured["systems"].items():
        values |= {"hole@10": 0.2, "Judged@10": 0.8} | ({} if name == "bm25" else {"overlap@100": 0.5})
    (table,) = tables(systems_section(measured, ""))
    assert table.head == ("system", "RR@10", "R@100")


def test_a_split_that_has_answers_only_gets_a_table_of_coverage() -> None:
    measured = scores() | {"systems": {"bm25": {"Coverage@20": 0.5}, "ance": {"Coverage@20": 0.75}}}
    section = systems_section(measured, "")
    (table,) = tables(section)
    assert table.rows[1] == ("ANCE", "0.750") and not figures(section)
