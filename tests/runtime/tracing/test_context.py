from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ance.runtime.tracing import TraceContext

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@given(st.integers(1, (1 << 128) - 1), st.integers(1, (1 << 64) - 1), st.booleans())
def test_a_context_survives_the_way_through_a_traceparent(trace_id: int, span_id: int, sampled: bool) -> None:
    context = TraceContext(trace_id, span_id, sampled)
    assert TraceContext.parse(context.traceparent) == context


@given(st.text(max_size=60))
def test_no_text_raises(text: str) -> None:
    TraceContext.parse(text)


def test_only_the_lowest_flag_means_sampled() -> None:
    assert TraceContext.parse(f"00-{TRACE}-{SPAN}-01") == TraceContext(int(TRACE, 16), int(SPAN, 16), True)
    for flags, sampled in (("00", False), ("02", False), ("03", True), ("ff", True)):
        context = TraceContext.parse(f"00-{TRACE}-{SPAN}-{flags}")
        assert context is not None and context.sampled is sampled


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
    ],
)
def test_what_is_no_traceparent_is_no_context(traceparent: str) -> None:
    assert TraceContext.parse(traceparent) is None


def test_a_version_to_come_may_say_more() -> None:
    assert TraceContext.parse(f"01-{TRACE}-{SPAN}-01-more") == TraceContext.parse(f"00-{TRACE}-{SPAN}-01")
