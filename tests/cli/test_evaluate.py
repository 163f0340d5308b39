"""The table of scores."""

from ance.cli.evaluate import table
from ance.cli.run_scores import evaluate_splits
from ance.runtime.artifacts import published
from ance.runtime.store import Store
from tests.cli.conftest import Salad
from tests.cli.test_export import publish_run

SYSTEMS = {
    "bm25": {"RR@10": 0.5, "nDCG@10": 0.51, "R@100": 0.9, "R@1000": 1.0},
    "ance": {"RR@10": 0.61236, "nDCG@10": 0.62, "R@100": 0.95, "R@1000": 1.0},
}


REPORT = {"dataset": "salad", "split": "test", "queries": 24, "left_out": 0, "systems": SYSTEMS}


def test_every_system_is_a_row_under_the_measures() -> None:
    title, head, *rows = table(REPORT).splitlines()
    assert title == "salad, test, 24 queries"
    assert head.split() == ["system", "RR@10", "nDCG@10", "R@100", "R@1000"]
    assert [row.split() for row in rows] == [
        ["bm25", "0.5000", "0.5100", "0.9000", "1.0000"],
        ["ance", "0.6124", "0.6200", "0.9500", "1.0000"],
    ]
    assert len({len(row) for row in (head, *rows)}) == 1


def test_queries_that_count_for_nothing_are_counted() -> None:
    title = table(REPORT | {"left_out": 3}).splitlines()[0]
    assert title == "salad, test, 24 queries, 3 of them left out: they have no relevant passage"


def test_the_version_that_is_best_on_dev_can_stand_for_the_run(salad: Salad) -> None:
    layout, store = publish_run(salad, "scored-best", 5, 45), Store.open(salad.store)
    best = published(store, layout.checkpoint(5))
    assert best is not None
    store.move_pointer(layout.pointer("best"), best)
    for choice, systems in ((False, ["ance"]), (True, [])):  # the best was published during the warm-up
        (report,) = evaluate_splits(salad.store, "scored-best", ["test"], systems=("ance",), best=choice, threads=1)
        assert list(report["systems"]) == systems
