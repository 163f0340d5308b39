"""The table of scores."""

from ance.cli.evaluate import table

SYSTEMS = {
    "bm25": {"RR@10": 0.5, "nDCG@10": 0.51, "R@100": 0.9, "R@1000": 1.0},
    "ance": {"RR@10": 0.61236, "nDCG@10": 0.62, "R@100": 0.95, "R@1000": 1.0},
}


def test_every_system_is_a_row_under_the_measures() -> None:
    title, head, *rows = table({"dataset": "salad", "split": "test", "queries": 24, "systems": SYSTEMS}).splitlines()
    assert title == "salad, test, 24 queries"
    assert head.split() == ["system", "RR@10", "nDCG@10", "R@100", "R@1000"]
    assert [row.split() for row in rows] == [
        ["bm25", "0.5000", "0.5100", "0.9000", "1.0000"],
        ["ance", "0.6124", "0.6200", "0.9500", "1.0000"],
    ]
    assert len({len(row) for row in (head, *rows)}) == 1
