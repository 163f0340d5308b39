"""Bodies about index versions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt

from services.search_api.models.base import Body, Whole

SwapState = Literal["idle", "waiting", "fetching", "loading", "probing", "activating"]
"""Where a swap is: `idle` between swaps."""


class IndexVersion(Body):
    """A published version."""

    version: NonNegativeInt
    created_at: str
    """In UTC."""
    state: Literal["serving", "previous", "published", "refused"]
    """`refused`: this replica found it torn, damaged or implausible, `reason` says how."""
    reason: str = ""
    dev: dict[str, float]
    """Metrics of the dev split when it was published."""


class IndexList(Body):
    """The versions in the store, the newest first, and what this replica does with them."""

    serving: NonNegativeInt | None
    pinned: NonNegativeInt | None
    """Version that a rollback holds every replica at."""
    swap: SwapState
    indexes: tuple[IndexVersion, ...]


class RollbackRequest(Body):
    """Which version to hold every replica at."""

    version: Annotated[int, Field(strict=True, ge=0, le=2**53), Whole] | Literal["best"]
    """A version that is still in the store; or the one that is best on the dev split so far, whichever that is now."""


class PinState(Body):
    """What replicas are held at, and what the one that answers serves at this moment."""

    pinned: NonNegativeInt | None
    serving: NonNegativeInt | None
