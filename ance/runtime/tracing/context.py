"""Where in which trace something happens, and how that crosses process boundaries (W3C Trace Context, level 1)."""

from __future__ import annotations

import re
from typing import NamedTuple

SAMPLED = 0x01
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class TraceContext(NamedTuple):
    """Names one span of one trace."""

    trace_id: int
    """128 bits, not 0."""
    span_id: int
    """64 bits, not 0."""
    sampled: bool
    """Whether the trace is recorded."""

    @classmethod
    def parse(cls, traceparent: str) -> TraceContext | None:
        """The context of a traceparent; None where it is none, since nobody's request may fail through it."""
        match = _TRACEPARENT.fullmatch(traceparent)
        if match is None:
            return None
        version, trace_id, span_id, flags, rest = match.groups()
        # Versions to come may append fields; version 00 may not, and ff is none.
        if version == "ff" or (version == "00" and rest):
            return None
        context = cls(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & SAMPLED))
        return context if context.trace_id and context.span_id else None

    @property
    def traceparent(self) -> str:
        """As it travels in headers, tasks and manifests."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{SAMPLED if self.sampled else 0:02x}"
