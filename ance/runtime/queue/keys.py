"""Where the work queue of a run lies in Redis."""

from __future__ import annotations

from dataclasses import dataclass

from redis import Redis
from redis.exceptions import ResponseError

from ance.runtime.contracts import Part

GROUP = "inferencers"
"""The consumer group of both streams."""


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """Keys of one run. All share the hash tag `{run}`, so that on a cluster they lie on one node.

    The two streams are the queue: they hold exactly the outstanding tasks, waiting or leased. The rest is
    derived, and dies with them when Redis is flushed.
    """

    run_id: str

    @property
    def queries(self) -> str:
        """Stream of query shards and of pairs to score, which go first: negatives wait for them."""
        return self._key("encode:queries")

    @property
    def passages(self) -> str:
        """Stream of passage shards."""
        return self._key("encode:passages")

    @property
    def streams(self) -> tuple[str, str]:
        """Both streams, in the order in which they are served."""
        return self.queries, self.passages

    @property
    def entries(self) -> str:
        """Hash: task id -> its stream entry's id."""
        return self._key("entries")

    @property
    def errors(self) -> str:
        """Hash: task id -> error of its last failed attempt."""
        return self._key("errors")

    @property
    def dead(self) -> str:
        """Hash: task id -> dead letter as JSON."""
        return self._key("dead")

    @property
    def completed(self) -> str:
        """Stream of completion records."""
        return self._key("completed")

    @property
    def step(self) -> str:
        """String: the step whose pass is under way; tasks of other steps are cancelled."""
        return self._key("step")

    def stream_of(self, part: str) -> str:
        """The stream that carries the tasks of a part."""
        return self.passages if part == Part.PASSAGES else self.queries

    def _key(self, name: str) -> str:
        return f"ance:{{{self.run_id}}}:{name}"


def create_groups(client: Redis, keys: QueueKeys) -> None:
    """Create both streams and their consumer group where absent.

    The group starts at id 0: one that starts at `$` would never deliver tasks enqueued before it.
    """
    for stream in keys.streams:
        try:
            client.xgroup_create(stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise


def group_is_gone(error: ResponseError) -> bool:
    """Whether a command failed because Redis was flushed, or restarted empty, since the group was made."""
    return "NOGROUP" in str(error) or "UNBLOCKED" in str(error)
