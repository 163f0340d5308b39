"""The figures of a run's report come from its store alone."""

import json
from pathlib import Path

import pytest

from ance.cli.report import history, summary
from ance.runtime.layout import RunLayout
from ance.runtime.store import Store

LAYOUT = RunLayout("demo")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two warm-up steps, three ANCE steps, three refreshes of which the last came after training."""
    store = Store.open(f"file://{tmp_path}")
    gaps: list[tuple[int | None, float | None]] = [(None, None), (None, None), (1, 10.0), (2, 20.0), (6, 60.0)]
    records = [
        {"step": step, "time": 100.0 + step, "async_gap": gap, "async_gap_seconds": seconds}
        for step, (gap, seconds) in enumerate(gaps, start=1)
    ]
    for segment in (records[:2], records[2:]):
        lines = "".join(json.dumps(record) + "\n" for record in segment)
        store.write(LAYOUT.series(segment[-1]["step"]), lines.encode())  # type: ignore[arg-type]
    for step, negatives_at in ((10, 104.0), (2, 101.0), (5, 110.0)):
        store.write(LAYOUT.refresh_record(step), json.dumps({"step": step, "negatives_at": negatives_at}).encode())
    return store


def test_refreshes_come_in_the_order_of_their_steps(store: Store) -> None:
    assert [refresh["step"] for refresh in history(store, LAYOUT)["refreshes"]] == [2, 5, 10]


def test_a_refresh_counts_as_during_training_if_its_negatives_came_before_the_last_step(store: Store) -> None:
    assert history(store, LAYOUT)["refreshes_during_training"] == 2


def test_the_async_gap_is_that_of_steps_on_mined_negatives(store: Store) -> None:
    gap = history(store, LAYOUT)["async_gap"]
    assert gap == {"steps": {"mean": 3.0, "max": 6.0}, "seconds": {"mean": 30.0, "max": 60.0}}


def test_the_summary_says_it_in_words(store: Store) -> None:
    assert summary({**history(store, LAYOUT), "seconds": 123.4}) == (
        "2 refreshes during training, 3 in all; 123 s from start to report\n"
        "async gap: mean 3.0 and at most 6 steps (30 and 60 s)"
    )


def test_a_run_without_ance_steps_has_no_gap(tmp_path: Path) -> None:
    empty = history(Store.open(f"file://{tmp_path}"), LAYOUT)
    assert empty == {"refreshes": [], "refreshes_during_training": 0, "async_gap": {}}
    assert "async gap" not in summary({**empty, "seconds": 1.0})
