"""What traced code says: `span`, `stages`, and which span is the current one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Literal, Protocol

from ance.runtime.tracing.context import TraceContext

Kind = Literal["internal", "server"]
Value = str | int | float | bool

PREFIX = "ance."
"""Of attributes that no convention has a name for."""


class Tracer(Protocol):
    """Decides what is recorded, and takes what is finished."""

    def begin(
        self, name: str, kind: Kind, parent: TraceContext | None, links: Sequence[TraceContext] | None, *, local: bool
    ) -> TraceContext:
        """The context of a new span: in its parent's trace, else in a new one, recorded if one of `links` is."""
        ...

    def end(self, span: Span, began_ns: int, ended_ns: int) -> None:
        """Take a span; times are nanoseconds since the epoch. Never waits for anything."""
        ...

    def stop(self, seconds: float) -> None:
        """Export what was taken, for at most so long."""
        ...


class Span:
    """A piece of work with a beginning and an end: the block that it is the context manager of."""

    __slots__ = ("_began", "_began_ns", "_token", "_tracer", "attributes", "context", "kind", "links", "name", "parent")

    def __init__(
        self,
        tracer: Tracer | None,
        name: str,
        context: TraceContext | None = None,
        parent: TraceContext | None = None,
        links: Sequence[TraceContext] = (),
        kind: Kind = "internal",
    ) -> None:
        self.name = name
        self.context = context
        self.parent = parent
        self.links = links
        self.kind = kind
        self.attributes: dict[str, Value] = {}
        self._tracer = tracer
        self._token: Token[Span] | None = None
        self._began = self._began_ns = 0

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
        self.describe({f"{PREFIX}{name}": value for name, value in values.items()})

    def describe(self, attributes: dict[str, Value]) -> None:
        """As `set`, by the names of a convention."""
        if self.recorded:
            self.attributes |= attributes

    def add(self, **amounts: int | float) -> None:
        """Count up attributes that begin at 0."""
        for name, amount in amounts.items():
            so_far = self.attributes.get(PREFIX + name, 0)
            assert isinstance(so_far, int | float), f"{name} is no number"
            self.set(**{name: so_far + amount})

    def __enter__(self) -> Span:
        if self._tracer is not None:
            self._token = _current.set(self)
            self._began_ns, self._began = time.time_ns(), time.perf_counter_ns()
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
            self._tracer.end(self, self._began_ns, self._began_ns + time.perf_counter_ns() - self._began)


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
    origin = remote if remote is not None or linked is not None else _current.get().context
    context = tracer.begin(name, kind, origin, linked, local=remote is None)
    begun = Span(tracer, name, context, origin, linked or (), kind)
    begun.set(**values)
    return begun


def stages(began: float, seconds: Iterable[tuple[str, float]]) -> None:
    """Parts of the current span that were timed as they went, one after the other.

    Args:
        began: when the first one began, by `time.perf_counter`.
        seconds: the name of each and how long it took.
    """
    whole, tracer = _current.get(), _tracer
    if tracer is None or not whole.recorded:
        return
    at = time.time_ns() - int((time.perf_counter() - began) * 1e9)
    for name, lasted in seconds:
        context = tracer.begin(name, "internal", whole.context, None, local=True)
        ended = at + int(lasted * 1e9)
        tracer.end(Span(tracer, name, context, whole.context), at, ended)
        at = ended


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
