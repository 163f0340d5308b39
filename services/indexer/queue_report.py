"""What the leader shows of the work queue, during a pass and between two."""

from ance.runtime.metrics import QueueMetrics
from ance.runtime.queue import QueueCounts, TaskQueue
from ance.runtime.redis.client import OUTAGE


def report_queue(queue: TaskQueue, metrics: QueueMetrics) -> QueueCounts | None:
    """Show and return the depth of the queue. None while Redis does not answer, which is no error here."""
    try:
        counts = queue.counts()
    except OUTAGE:
        # Whoever needs the queue says so in the log; the last known depth stays.
        metrics.up.set(0)
        return None
    metrics.show(
        waiting=counts.waiting,
        pending=counts.pending,
        oldest_age_seconds=counts.oldest_age_seconds,
        dead=counts.dead,
    )
    return counts
