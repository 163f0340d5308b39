"""Settings of the indexer, from environment variables."""

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from ance.runtime.settings import ServiceSettings


class IndexerSettings(ServiceSettings):
    """Environment of one indexer process (prefix ANCE_)."""

    feed: str = ""
    """host:port of the trainer's checkpoint feed. Empty: the checkpoint pointer in the store is polled."""
    poll_seconds: PositiveFloat = 60.0
    """How often the checkpoint pointer is read when the feed is silent."""
    lease_seconds: PositiveFloat = 60.0
    """Lease of an encode task; the same as the inferencers'."""
    max_deliveries: PositiveInt = 5
    """Deliveries of a task before it is a dead letter; the same as the inferencers'."""
    leader_seconds: PositiveFloat = 15.0
    """A leader that has been silent this long is replaced."""
    reconcile_seconds: PositiveFloat = 30.0
    """How often the store is compared with the queue, so that nothing lost stays lost."""
    dead_letter_retries: NonNegativeInt = 1
    """How often a dead task of a pass is put back before the pass is given up."""
