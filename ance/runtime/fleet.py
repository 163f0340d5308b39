"""The encoding fleet: what its members, the inferencers and the indexers that give them work, are told and open."""

from pydantic import PositiveFloat, PositiveInt
from redis import Redis

from ance.runtime.feed import CheckpointWatcher
from ance.runtime.feed.settings import WatcherSettings
from ance.runtime.queue import TaskQueue
from ance.runtime.run import OpenRun
from ance.runtime.settings import ServiceSettings


class FleetSettings(ServiceSettings, WatcherSettings):
    """What a member of the fleet is told. The two that are about tasks are the same for all members."""

    lease_seconds: PositiveFloat = 60.0
    """A task whose worker has been silent this long goes to another worker."""
    max_deliveries: PositiveInt = 5
    """A task that was delivered this often without success becomes a dead letter."""


def open_queue(run: OpenRun[FleetSettings], redis: Redis) -> TaskQueue:
    """The run's encode tasks, as this process takes and gives them."""
    settings = run.settings
    return TaskQueue(
        redis,
        run.config.run,
        settings.holder,
        lease_seconds=settings.lease_seconds,
        max_deliveries=settings.max_deliveries,
    )


def watch_checkpoints(run: OpenRun[FleetSettings]) -> CheckpointWatcher:
    """Hears of the run's newest checkpoint from the feed, or from the store where the feed is silent."""
    return CheckpointWatcher(
        run.settings.feed,
        run.config.run,
        fallback=lambda: run.store.read_pointer(run.layout.pointer("checkpoint")),
        poll_seconds=run.settings.poll_seconds,
        credentials=run.settings.feed_credentials,
    )
