"""What a member of the encoding fleet opens, as its settings say."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis

from ance.runtime.contracts import ArtifactRef, RunConfig
from ance.runtime.fleet import FleetSettings, open_queue, watch_checkpoints
from ance.runtime.layout import RunLayout
from ance.runtime.run import OpenRun
from ance.runtime.store import Store
from tests.system.tiny import config

from .conftest import encode_task


@pytest.fixture
def run(tmp_path: Path) -> OpenRun[FleetSettings]:
    store = f"file://{tmp_path}"
    told = {"store": store, "run": "demo", "holder": "pod-0", "poll_seconds": 0.02, "max_deliveries": 1}
    return OpenRun(
        FleetSettings.model_validate(told),
        RunConfig.model_validate(config(tmp_path / "encoder", run="demo")),
        Store.open(store),
        RunLayout("demo"),
    )


def test_a_member_works_under_its_own_name_and_gives_a_task_up_when_the_settings_say(
    run: OpenRun[FleetSettings], client: Redis
) -> None:
    queue = open_queue(run, client)
    queue.enqueue([encode_task(0)])
    lease = queue.take(0)
    assert lease is not None
    lease.fail("boom")
    (letter,) = queue.dead_letters
    assert (letter.task_id, letter.last_worker) == ("demo/100/passages/0", "pod-0")


def test_without_a_feed_checkpoints_are_found_in_the_store(run: OpenRun[FleetSettings]) -> None:
    with watch_checkpoints(run) as watcher:
        assert watcher.wait_newer(-1, timeout=0.05) is None
        ref = ArtifactRef(
            step=100,
            manifest_uri="runs/demo/checkpoints/100/manifest.json",
            manifest_sha256="0" * 64,
            created_at=1_700_000_000.0,
            fencing_token=1,
        )
        run.store.move_pointer(run.layout.pointer("checkpoint"), ref)
        assert watcher.wait_newer(-1, timeout=10) == ref
