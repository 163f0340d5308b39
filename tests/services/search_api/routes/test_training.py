import itertools
import json
import math

from ance.runtime.contracts import Part
from tests.services.search_api.live import Live
from tests.services.search_api.tiny_run import TinyRun


def write_series(run: TinyRun, last: int, first: int = 1) -> None:
    """Records as the trainer writes them, with gradient norms on every tenth step."""
    lines = []
    for step in range(first, last + 1):
        record = {"step": step, "stage": "ance", "loss": math.nan if step == 3 else 1 / step, "learning_rate": 0.1}
        record |= {"async_gap": None if step < 5 else step - 4, "async_gap_seconds": 0.5}
        if step % 10 == 0:
            record["gradient_norms"] = {"global": float(step), "top": 1.0}
        lines.append(json.dumps(record))
    run.store.write(run.layout.series(last), "\n".join(lines).encode())


def test_before_the_first_step_there_is_nothing_to_show(live: Live) -> None:
    report = live.client.get("/v1/training").json()
    assert (report["step"], report["stage"], report["versions"], report["refresh"]) == (0, None, [], None)
    assert report["total_steps"] == 2


def test_it_shows_series_gradient_norms_and_versions(live: Live, run: TinyRun) -> None:
    write_series(run, 20)
    write_series(run, 30, first=21)
    record = {"step": 20, "negatives_at": 12.5, "refresh_seconds": 3.0, "dev": {"RR@10": 0.5}, "overlap": {"bm25": 0.1}}
    run.store.write(run.layout.refresh_record(20), json.dumps(record).encode())
    report = live.client.get("/v1/training").json()
    assert (report["run"], report["step"], report["stage"]) == ("tiny", 30, "ance")
    series = report["series"]
    assert series["step"] == list(range(1, 31))
    assert series["loss"][:4] == [1.0, 0.5, None, 0.25]
    assert (series["async_gap"][3], series["async_gap"][29]) == (None, 26)
    assert report["gradient_norms"] == {"step": [10, 20, 30], "groups": {"global": [10, 20, 30], "top": [1, 1, 1]}}
    assert report["versions"] == [
        {"version": 20, "published_at": 12.5, "refresh_seconds": 3.0, "dev": {"RR@10": 0.5}, "overlap": {"bm25": 0.1}}
    ]


def test_a_long_run_is_thinned_and_keeps_its_last_step(live: Live, run: TinyRun) -> None:
    write_series(run, 1234)
    steps = live.client.get("/v1/training").json()["series"]["step"]
    assert len(steps) <= 500 and steps[-1] == 1234
    assert len({later - earlier for earlier, later in itertools.pairwise(steps)}) == 1


def test_a_refresh_under_way_shows_its_progress(live: Live, run: TinyRun) -> None:
    run.publish(1)
    run.store.move_pointer(run.layout.pointer("refresh"), run.publish_checkpoint(2))
    run.store.write(run.layout.shard(2, Part.PASSAGES, 0), b"")
    progress = live.client.get("/v1/training").json()["refresh"]
    assert progress == {"version": 2, "shards": 2, "shards_done": 1}  # dev queries and passages, a shard each
