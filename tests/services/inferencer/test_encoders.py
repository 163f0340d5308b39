"""Encoders of recent checkpoints: exactly the one that is named, and loaded ahead of need."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ance.model.encoding import TextEncoder
from ance.runtime.artifacts import ArtifactNotFound, CorruptArtifact
from ance.runtime.contracts import ArtifactRef
from ance.runtime.feed import CheckpointWatcher
from ance.runtime.holds import VersionHold
from ance.runtime.metrics import InferencerMetrics
from ance.runtime.retention import retain
from ance.runtime.shutdown import Shutdown
from services.inferencer.encoders import Encoders
from tests.services.conftest import NewRun
from tests.services.service_run import ServiceRun, background, wait_until


def encoders(run: ServiceRun, metrics: InferencerMetrics | None = None) -> Encoders:
    hold = VersionHold(run.store, run.layout, "test")
    return Encoders(run.store, hold, run.cache, run.config.encoding, "cpu", metrics or InferencerMetrics())


def loads(metrics: InferencerMetrics) -> float | None:
    return metrics.registry.get_sample_value("ance_inferencer_checkpoint_load_seconds_count")


def get(kept: Encoders, ref: ArtifactRef) -> TextEncoder:
    return kept.get(ref.manifest_uri, ref.manifest_sha256)


def test_the_checkpoint_in_use_stays_loaded_while_newer_ones_pass_by(new_run: NewRun) -> None:
    run, metrics = new_run(), InferencerMetrics()
    kept = encoders(run, metrics)
    in_use, *newer = (run.publish_checkpoint(step) for step in (1, 2, 3))
    encoder = get(kept, in_use)
    for ref in newer:
        get(kept, ref)
        assert get(kept, in_use) is encoder
    assert loads(metrics) == 3
    get(kept, newer[0])  # two are kept, and this one was not used last
    assert loads(metrics) == 4


def test_a_checkpoint_is_refused_when_its_manifest_is_not_the_one_that_is_named(new_run: NewRun) -> None:
    run = new_run()
    ref = run.publish_checkpoint(1)
    with pytest.raises(CorruptArtifact, match="expected 0000"):
        encoders(run).get(ref.manifest_uri, "0" * 64)


def test_the_state_of_the_trainer_is_not_fetched(new_run: NewRun) -> None:
    run = new_run()
    ref = run.publish_checkpoint(1)
    run.store.delete(f"{run.layout.checkpoint(1)}/trainer_state")
    assert encoders(run).get(ref.manifest_uri, ref.manifest_sha256).dim == 32


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of its compiler
def test_a_checkpoint_is_compiled_where_the_run_asks_for_it(
    new_run: NewRun, compiled_graphs: Callable[[], int]
) -> None:
    vectors, graphs = {}, {}
    for backend in (None, "eager"):
        run = new_run(encoding={"compile": backend})
        encoder = get(encoders(run), run.publish_checkpoint(1))
        vectors[backend] = encoder.encode_rows(run.dataset.passages.tokens, 0, 8, 16)
        graphs[backend] = compiled_graphs()
    assert graphs[None] == 0 < graphs["eager"]
    np.testing.assert_allclose(vectors["eager"], vectors[None], atol=1e-5)


def test_retention_spares_a_checkpoint_only_while_it_is_being_loaded(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run()
    ref, _ = run.publish_checkpoint(1), run.publish_checkpoint(2)
    load, spared = TextEncoder.load, []

    def watched(*positional: Any, **named: Any) -> TextEncoder:
        spared.append(retain(run.store, run.layout, keep=1, grace_seconds=0))
        return load(*positional, **named)

    monkeypatch.setattr(TextEncoder, "load", watched)
    get(encoders(run), ref)
    assert spared == [([], [])]
    assert [version.step for version in retain(run.store, run.layout, keep=1, grace_seconds=0).condemned] == [1]
    with pytest.raises(ArtifactNotFound, match="retention is deleting it"):
        get(encoders(run), ref)


def test_a_loaded_encoder_is_had_at_once_while_another_is_being_loaded(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run()
    kept = encoders(run)
    loaded, slow = run.publish_checkpoint(1), run.publish_checkpoint(2)
    encoder = get(kept, loaded)
    entered, release, load = threading.Event(), threading.Event(), Encoders._load

    def slowly(self: Encoders, uri: str, sha256: str) -> object:
        entered.set()
        assert release.wait(20)
        return load(self, uri, sha256)

    monkeypatch.setattr(Encoders, "_load", slowly)
    with background(lambda: get(kept, slow) and None, stop=release.set):
        assert entered.wait(20)
        assert get(kept, loaded) is encoder


def test_announced_checkpoints_are_preloaded_from_the_first_that_a_refresh_may_use(
    new_run: NewRun, shutdown: Shutdown
) -> None:
    run, metrics = new_run(), InferencerMetrics()
    kept = encoders(run, metrics)
    pointer = run.layout.pointer("checkpoint")
    watcher = CheckpointWatcher("", run.config.run, lambda: run.store.read_pointer(pointer), poll_seconds=0.01)
    run.publish_checkpoint(5)
    with watcher, background(lambda: kept.preload(watcher, shutdown, first_step=20), stop=shutdown.request):
        wait_until(lambda: watcher.newest is not None)
        ref = run.publish_checkpoint(20)
        wait_until(lambda: loads(metrics) == 1)
        get(kept, ref)
    assert loads(metrics) == 1


def test_a_checkpoint_that_cannot_be_preloaded_does_not_end_the_preloading(
    new_run: NewRun, shutdown: Shutdown, caplog: pytest.LogCaptureFixture
) -> None:
    run, metrics = new_run(), InferencerMetrics()
    kept = encoders(run, metrics)
    pointer = run.layout.pointer("checkpoint")
    run.publish_checkpoint(20)
    run.store.delete(run.layout.checkpoint(20))
    watcher = CheckpointWatcher("", run.config.run, lambda: run.store.read_pointer(pointer), poll_seconds=0.01)
    with watcher, background(lambda: kept.preload(watcher, shutdown, first_step=20), stop=shutdown.request):
        wait_until(lambda: "not preloaded" in caplog.text)
        run.publish_checkpoint(21)
        wait_until(lambda: metrics.registry.get_sample_value("ance_inferencer_checkpoint_step") == 21)
