"""A refresh is one trace, from the checkpoint that begins it to the first step on its negatives."""

from __future__ import annotations

import pytest

from ance.runtime.artifacts import read_manifest
from ance.runtime.layout import RunLayout, manifest_of
from ance.runtime.store import Store
from ance.runtime.tracing import TraceContext
from tests.collector import Collector, Received
from tests.system.conftest import Prepared
from tests.system.tiny import DEV, PASSAGES, TRAIN

pytestmark = pytest.mark.timeout(240)

STEP = 5
"""Of the checkpoint that ends the warm-up: the first that is refreshed with, and the only one trained on."""


@pytest.fixture(scope="module")
def trace(finished_run: str, traces: Collector) -> list[Received]:
    """The spans of the trace that the checkpoint began."""
    (checkpoint,) = (span for span in traces.named("checkpoint") if span.attributes["ance.step"] == STEP)
    return [span for span in traces.spans if span.trace == checkpoint.trace]


def one(trace: list[Received], name: str, **attributes: object) -> Received:
    """The only span of a name that has these attributes."""
    wanted = {f"ance.{key}": value for key, value in attributes.items()}
    (found,) = (span for span in trace if span.name == name and wanted.items() <= span.attributes.items())
    return found


def test_the_spans_of_every_service_hang_together_below_the_checkpoint(trace: list[Received]) -> None:
    below = {span.id: span for span in trace}
    roots = [span for span in trace if span.parent == ""]
    assert [span.name for span in roots] == ["checkpoint"]
    assert {span.parent for span in trace} - {""} <= below.keys()
    assert {span.service for span in trace} == {"ance-trainer", "ance-inferencer", "ance-indexer", "ance-search-api"}
    assert {span.resource["ance.run"] for span in trace} == {"scored"}
    assert not [span for span in trace if span.failed]


def test_each_step_of_a_refresh_is_done_for_the_one_before(trace: list[Received]) -> None:
    checkpoint = one(trace, "checkpoint")
    published = one(trace, "publish", artifact="checkpoint")
    refresh, plan, mine, build = (one(trace, name) for name in ("refresh", "plan", "mine", "build"))
    negatives, index = (one(trace, "publish", artifact=kind) for kind in ("negatives", "index"))
    assert published.parent == checkpoint.id
    assert {one(trace, name).parent for name in ("write", "announce")} == {checkpoint.id}
    assert refresh.parent == published.id
    assert {span.parent for span in (plan, mine, build, one(trace, "collect"), one(trace, "evaluate"))} == {refresh.id}
    assert (negatives.parent, index.parent) == (mine.id, build.id)
    assert one(trace, "pick up").parent == one(trace, "first step").parent == negatives.id
    assert one(trace, "first step").attributes == {"ance.step": STEP + 1, "ance.async_gap_steps": 0}
    in_order = [checkpoint, refresh, plan, mine, negatives, one(trace, "first step")]
    assert sorted(in_order, key=lambda span: span.began) == in_order


def test_every_shard_is_a_span_with_its_rows_and_tokens(trace: list[Received]) -> None:
    encoded = [span for span in trace if span.name == "encode"]
    assert {span.parent for span in encoded} == {one(trace, "plan").id}
    done = [span for span in encoded if span.attributes["ance.result"] == "done"]
    rows: dict[str, int] = {}
    for span in done:
        part = span.attributes["ance.part"]
        rows[part] = rows.get(part, 0) + span.attributes["ance.rows"]
        assert span.attributes["ance.tokens"] > span.attributes["ance.rows"]
    assert rows == {"train_queries": TRAIN, "dev_queries": DEV, "passages": PASSAGES}


def test_the_store_keeps_the_trace_for_whoever_goes_on(
    trace: list[Received], finished_run: str, prepared: Prepared
) -> None:
    store, layout = Store.open(prepared.store), RunLayout(finished_run)
    manifest = read_manifest(store, manifest_of(layout.negatives(STEP)))
    kept = TraceContext.parse(manifest.traceparent)
    assert kept is not None
    assert f"{kept.span_id:016x}" == one(trace, "publish", artifact="negatives").id
