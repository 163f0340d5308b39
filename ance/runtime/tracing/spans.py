"""What traced code says: `span`, `stages`, and which span is the current one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Literal, NamedTuple, Protocol

from ance.runtime.tracing.context import TraceContext

Kind = Literal["internal", "server"]
Value = str | int | float | bool


class Tracer(Protocol):
    """Decides what is recorded, and takes what is finished."""

    def begin(
        self, name: str, kind: Kind, parent: TraceContext | None, links: Sequence[TraceContext] | None, *, local: bool
    ) -> TraceContext:
        """The context of a new span: in its parent's trace, else in a new one, recorded if one of `links` is."""
        ...

    def end(self, span: Span) -> None:
        """Take a span that is over, with its stages and what was done within it. Never waits for anything."""
        ...

    def stop(self, seconds: float) -> None:
        """Export what was taken, for at most so long."""
        ...


class Stage(NamedTuple):
    """A part of a span that was timed as it went."""

    name: str
    began_ns: int
    ended_ns: int


class Span:
    """A piece of work with a beginning and an end: the block that it is the context manager of.

    Times are nanoseconds since the epoch.
    """

    __slots__ = (
        "_began",
        "_request",
        "_token",
        "_tracer",
        "attributes",
        "began_ns",
        "context",
        "ended_ns",
        "kind",
        "links",
        "name",
        "parent",
        "stages",
        "values",
        "within",
    )

    def __init__(
        self,
        tracer: Tracer | None,
        name: str,
        context: TraceContext | None = None,
        parent: TraceContext | None = None,
        links: Sequence[TraceContext] = (),
        kind: Kind = "internal",
        request: Span | None = None,
    ) -> None:
        self.name = name
        self.context = context
        self.parent = parent
        self.links = links
        self.kind = kind
        self.attributes: dict[str, Value] = {}
        """By the names of a convention."""
        self.values: dict[str, Value] = {}
        """What no convention has a name for."""
        self.stages: tuple[Stage, ...] = ()
        self.within: list[Span] = []
        """Of a request: the spans that ended before it did. They leave together, as queueing each takes time."""
        self._request = request
        self._tracer = tracer
        self._token: Token[Span] | None = None
        self._began = self.began_ns = self.ended_ns = 0

    @property
    def recorded(self) -> bool:
        """Whether anybody will see it."""
        return self.context is not None and self.context.sampled

    @property
    def traceparent(self) -> str:
        """For what happens elsewhere because of it; empty while tracing is off."""
        return "" if self.context is None else self.context.traceparent

    def set(self, **values: Value) -> None:
        """Tell more of it: `step=3` is its attribute `ance.step`."""
        if self.recorded:
            self.values.update(values)

    def describe(self, attributes: Mapping[str, Value]) -> None:
        """As `set`, by the names of a convention."""
        if self.recorded:
            self.attributes.update(attributes)

    def add(self, **amounts: int | float) -> None:
        """Count up attributes that begin at 0."""
        for name, amount in amounts.items():
            so_far = self.values.get(name, 0)
            assert isinstance(so_far, int | float), f"{name} is no number"
            self.set(**{name: so_far + amount})

    def __enter__(self) -> Span:
        if self._tracer is not None:
            self._token = _current.set(self)
            self.began_ns, self._began = time.time_ns(), time.perf_counter_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tracer is None or self._token is None:
            return
        _current.reset(self._token)
        if self.recorded:
            if kind is not None:
                self.describe({"error.type": kind.__qualname__})
            self.ended_ns = self.began_ns + time.perf_counter_ns() - self._began
            if self._request is not None and not self._request.ended_ns:
                self._request.within.append(self)
            else:
                self._tracer.end(self)


OFF = Span(None, "off")
"""What every span is while tracing is off; it remembers nothing."""
_current: ContextVar[Span] = ContextVar("span", default=OFF)
_tracer: Tracer | None = None


def install(tracer: Tracer | None) -> Tracer | None:
    """Give every span from now on to `tracer` (None: tracing is off). Returns the one before."""
    global _tracer
    before, _tracer = _tracer, tracer
    return before


def span(
    name: str,
    *,
    parent: str = "",
    links: Iterable[TraceContext | None] | None = None,
    kind: Kind = "internal",
    **values: Value,
) -> Span:
    """A span around a block.

    Args:
        name: what is done, the same for all of its kind.
        parent: traceparent of what it is done for, in another process; empty: the current span, if there is one.
        links: what it is done for, where that is many things. It begins a trace, recorded if one of them is.
        kind: `server` answers a request.
        values: attributes, as for `Span.set`.
    """
    tracer = _tracer
    if tracer is None:
        return OFF
    remote = TraceContext.parse(parent) if parent else None
    linked = None if links is None else [link for link in links if link is not None]
    origin, request = remote, None
    if remote is None and linked is None:
        around = _current.get()
        origin, request = around.context, around if around.kind == "server" else around._request
    context = tracer.begin(name, kind, origin, linked, local=remote is None)
    begun = Span(tracer, name, context, origin, linked or (), kind, request)
    begun.values = values
    return begun


def stages(began: float, seconds: Iterable[tuple[str, float]]) -> None:
    """Parts of the current span that were timed as they went, one after the other.

    Args:
        began: when the first one began, by `time.perf_counter`.
        seconds: the name of each and how long it took.
    """
    whole = _current.get()
    if not whole.recorded:
        return
    at = time.time_ns() - int((time.perf_counter() - began) * 1e9)
    parts = []
    for name, lasted in seconds:
        parts.append(Stage(name, at, at := at + int(lasted * 1e9)))
    whole.stages += tuple(parts)


def current_span() -> Span:
    """The span whose block this is."""
    return _current.get()


def current_context() -> TraceContext | None:
    """Of the current span, to link to."""
    return _current.get().context


def current_traceparent() -> str:
    """Of the current span, for what others do because of it; empty outside of any."""
    return _current.get().traceparent


def exemplar() -> dict[str, str] | None:
    """Labels by which a histogram points to the current trace; None where it is not recorded."""
    context = _current.get().context
    return {"trace_id": f"{context.trace_id:032x}"} if context is not None and context.sampled else None


def log_fields() -> dict[str, object]:
    """The ids of the current span, for a log line."""
    context = _current.get().context
    return {} if context is None else {"trace": f"{context.trace_id:032x}", "span": f"{context.span_id:016x}"}
