"""The record of each step, in segments that fit the checkpoints."""

from __future__ import annotations

import json

from services.trainer.series import Series
from tests.services.conftest import NewRun
from tests.services.service_run import ServiceRun


def steps(run: ServiceRun) -> dict[str, list[int]]:
    """Recorded steps by segment."""
    return {
        key.rsplit("/", 1)[-1]: [json.loads(line)["step"] for line in run.store.read(key).splitlines()]
        for key in run.store.list(run.layout.all_series)
    }


def record(series: Series, first: int, last: int) -> None:
    for step in range(first, last + 1):
        series.add({"step": step})
    series.flush(last)


def test_a_segment_holds_the_steps_since_the_one_before(new_run: NewRun) -> None:
    run = new_run()
    series = Series(run.store, run.layout)
    record(series, 1, 3)
    record(series, 4, 5)
    assert steps(run) == {"000000003.jsonl": [1, 2, 3], "000000005.jsonl": [4, 5]}


def test_nothing_is_written_where_nothing_happened(new_run: NewRun) -> None:
    run = new_run()
    Series(run.store, run.layout).flush(0)
    assert steps(run) == {}


def test_resuming_deletes_what_the_checkpoint_does_not_cover(new_run: NewRun) -> None:
    run = new_run()
    died = Series(run.store, run.layout)
    record(died, 1, 9)
    record(died, 10, 10)
    resumed = Series(run.store, run.layout)
    resumed.resume(9)
    record(resumed, 10, 12)
    assert steps(run) == {"000000009.jsonl": list(range(1, 10)), "000000012.jsonl": [10, 11, 12]}
