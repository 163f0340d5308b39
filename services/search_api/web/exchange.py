"""What is known of a request besides its HTTP: filled by its endpoint, read by the log and the metrics."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

SCOPE_KEY = "ance.exchange"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(slots=True)
class Exchange:
    """One request and its answer."""

    request_id: str
    mode: str = "other"
    """What was asked for, a label of the metrics."""
    queries: tuple[str, ...] = ()
    """Their texts, for the log that was asked for."""
    fields: dict[str, Any] = field(default_factory=dict)
    """More for the log."""

    def note(self, mode: str, queries: tuple[str, ...] = (), **fields: Any) -> None:
        """Tell what the request turned out to be."""
        self.mode, self.queries = mode, queries
        self.fields.update(fields)

    @classmethod
    def begin(cls, proposed_id: str | None) -> Exchange:
        """With the client's id if that can stand in a log, or one of our own."""
        usable = proposed_id is not None and _REQUEST_ID.fullmatch(proposed_id)
        return cls(proposed_id if usable and proposed_id else secrets.token_hex(8))


def exchange_of(request: Request) -> Exchange:
    """Of a request that came through the telemetry."""
    exchange: Exchange = request.scope[SCOPE_KEY]
    return exchange
