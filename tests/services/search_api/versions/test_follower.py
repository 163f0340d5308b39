import asyncio
import gc
import json
import logging
import re
import time
import weakref
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from ance.errors import AnceError
from ance.model.bi_encoder import BiEncoder
from ance.runtime.contracts import SearchSnapshot
from ance.runtime.metrics import SearchMetrics
from ance.runtime.retention import retain
from services.search_api.engine.batcher import Job
from services.search_api.engine.dense import DenseJob, DenseRequest, answer_batch
from services.search_api.versions.corpus import Corpus
from services.search_api.versions.follower import IndexFollower
from services.search_api.versions.listing import published_indexes
from services.search_api.versions.pin import UnknownVersion, remove_pin, write_pin
from services.search_api.versions.snapshot import load
from tests.services.search_api.tiny_run import TinyRun


@pytest.fixture
def follower(run: TinyRun, metrics: SearchMetrics) -> IndexFollower:
    """Polled by the tests, not by its thread."""
    opened = run.open()
    return IndexFollower(opened, metrics, Corpus(opened))


def step(follower: IndexFollower) -> int | None:
    return None if follower.current is None else follower.current.step


def swaps(metrics: SearchMetrics, result: str) -> float | None:
    return metrics.registry.get_sample_value("ance_search_index_swaps_total", {"result": result})


def test_without_a_published_index_there_is_no_version(follower: IndexFollower) -> None:
    follower.poll()
    assert follower.current is None


def test_it_moves_to_each_newer_version_once(run: TinyRun, follower: IndexFollower, metrics: SearchMetrics) -> None:
    for newest in (1, 2):
        run.publish(newest)
        follower.poll()
        follower.poll()
        assert step(follower) == newest
    assert swaps(metrics, "activated") == 2


def test_what_kind_of_index_is_served_is_shown_once_there_is_one(
    run: TinyRun, follower: IndexFollower, metrics: SearchMetrics
) -> None:
    labels = {"backend": "faiss", "factory": "Flat"}
    assert metrics.registry.get_sample_value("ance_search_index_info", labels) is None
    run.publish(1)
    follower.poll()
    assert metrics.registry.get_sample_value("ance_search_index_info", labels) == 1


def test_versions_share_the_open_data_set(run: TinyRun, follower: IndexFollower) -> None:
    run.publish(1)
    follower.poll()
    first = follower.current
    run.publish(2)
    follower.poll()
    assert first is not None and follower.current is not None
    assert first.documents is follower.current.documents


def test_versions_share_the_tokenizer_while_its_files_stay_the_same(run: TinyRun, follower: IndexFollower) -> None:
    """Loading one stops every search for a twentieth of a second."""
    loaded = []
    for newest, change in ((1, None), (2, None), (3, lower_cased)):
        run.publish_index(run.publish_checkpoint(newest, change))
        follower.poll()
        assert follower.current is not None
        loaded.append(follower.current.encoder._tokenizer)
    assert loaded[0] is loaded[1] and loaded[2] is not loaded[1]


def test_memory_of_a_replaced_version_goes_back_when_its_last_batch_has_ended(
    run: TinyRun, follower: IndexFollower, monkeypatch: pytest.MonkeyPatch
) -> None:
    returned: list[int] = []
    monkeypatch.setattr(
        "services.search_api.versions.follower.return_freed_memory", lambda: returned.append(step(follower))
    )
    run.publish(1)
    follower.poll()
    in_flight = follower.current
    run.publish(2)
    follower.poll()
    follower.poll()
    assert in_flight is not None and returned == []
    del in_flight
    follower.poll()
    follower.poll()
    assert returned == [2]


def test_a_replaced_version_still_answers_and_is_freed_with_its_last_user(
    run: TinyRun, follower: IndexFollower
) -> None:
    run.publish(1)
    follower.poll()
    in_flight = follower.current
    assert in_flight is not None
    index = weakref.ref(in_flight.index)
    run.publish(2)
    follower.poll()
    with closing(asyncio.new_event_loop()) as loop:
        job: DenseJob = Job(DenseRequest(("fast red",), 16, 3, fields=()), 1, loop.create_future())
        hits = answer_batch(in_flight, [job])[0].results[0].hits
    assert [hit.id for hit in hits] == [key for key, _ in run.expected(1, "fast red", 3)]
    del in_flight
    gc.collect()
    assert index() is None


def lower_cased(model: BiEncoder) -> None:
    settings = json.loads(model.tokenizer_files["tokenizer_config.json"])
    model.tokenizer_files["tokenizer_config.json"] = json.dumps(settings | {"do_lower_case": True}).encode()


def make_nan(model: BiEncoder) -> None:
    with torch.no_grad():
        for weights in model.parameters():
            weights.fill_(torch.nan)


def write_rubbish(folder: Path) -> None:
    (folder / "index.faiss").write_bytes(b"rubbish")


def drop_ids(folder: Path) -> None:
    np.save(folder / "ids.npy", np.load(folder / "ids.npy")[:-1])


def shift_ids(folder: Path) -> None:
    np.save(folder / "ids.npy", np.load(folder / "ids.npy") + 1000)


@pytest.mark.parametrize(
    ("publish", "reason"),
    [
        (lambda run, ref: run.publish_index(ref, change=lambda v: v * np.nan), "finds nothing"),
        (lambda run, ref: run.publish_index(ref, change=lambda v: v * np.inf), "not finite"),
        (lambda run, ref: run.publish_index(ref, change=lambda v: v[:, :8].copy()), "8 dimensions"),
        (
            lambda run, ref: run.publish_index(ref, change=lambda v: np.vstack([v, v])),
            "has 112 passages, the data set 56",
        ),
        (lambda run, ref: run.publish_index(ref, damage=write_rubbish), "cannot be loaded"),
        (lambda run, ref: run.publish_index(ref, damage=drop_ids), "cannot be loaded"),
        (lambda run, ref: run.publish_index(ref, damage=shift_ids), "other rows"),
        (lambda run, ref: run.publish_index(ref, step=9), "checkpoint of step 2"),
        (lambda run, ref: run.publish_index(ref, dataset="other"), "data set other"),
    ],
)
def test_an_implausible_version_is_refused_once_and_the_old_one_stays(
    run: TinyRun,
    follower: IndexFollower,
    metrics: SearchMetrics,
    caplog: pytest.LogCaptureFixture,
    publish: Callable[[TinyRun, object], object],
    reason: str,
) -> None:
    run.publish(1)
    follower.poll()
    publish(run, run.publish_checkpoint(2))
    follower.poll()
    follower.poll()
    assert step(follower) == 1
    assert swaps(metrics, "refused") == 1
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert reason in record.getMessage()


def test_operators_are_told_of_a_swap_and_of_a_refused_version_once(run: TinyRun, metrics: SearchMetrics) -> None:
    told: list[tuple[str, str]] = []
    opened = run.open()
    follower = IndexFollower(opened, metrics, Corpus(opened), lambda reason, note: told.append((reason, note)))
    run.publish(1)
    follower.poll()
    follower.poll()
    run.publish_index(run.publish_checkpoint(2), dataset="other")
    follower.poll()
    follower.poll()
    swapped, refused = told
    assert swapped[0] == "IndexSwapped" and re.fullmatch(r"index of step 1 answers, after \d+\.\d s", swapped[1])
    assert refused == ("SwapRefused", "index of step 2: index of data set other, but the run's is tiny")


def test_an_encoder_that_gives_nan_is_refused(run: TinyRun, follower: IndexFollower) -> None:
    finite = run.publish_index(run.publish_checkpoint(1, make_nan), change=np.nan_to_num)
    assert finite.step == 1
    follower.poll()
    assert follower.current is None


@pytest.mark.parametrize("damaged", ["index.faiss", "manifest.json"])
def test_a_version_that_was_damaged_in_the_store_is_refused(
    run: TinyRun, follower: IndexFollower, metrics: SearchMetrics, damaged: str
) -> None:
    run.publish(1)
    follower.poll()
    run.publish(2)
    path = run.path(f"{run.layout.index(2)}/{damaged}")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    follower.poll()
    assert (step(follower), swaps(metrics, "refused")) == (1, 1)


@pytest.mark.parametrize("torn", ["ids.npy", "manifest.json"])
def test_a_torn_version_is_refused_and_the_next_one_is_taken(
    run: TinyRun, follower: IndexFollower, metrics: SearchMetrics, torn: str
) -> None:
    run.publish(1)
    follower.poll()
    run.publish(2)
    run.path(f"{run.layout.index(2)}/{torn}").unlink()
    follower.poll()
    assert (step(follower), swaps(metrics, "refused")) == (1, 1)
    run.publish(3)
    follower.poll()
    assert step(follower) == 3


def test_a_damaged_checkpoint_refuses_the_index_made_with_it(
    run: TinyRun, follower: IndexFollower, metrics: SearchMetrics
) -> None:
    ref = run.publish(1)
    uri = json.loads(run.store.read(ref.manifest_uri))["stats"]["checkpoint"]["manifest_uri"]
    (run.path(uri).parent / "model.safetensors").write_bytes(b"")
    follower.poll()
    assert (step(follower), swaps(metrics, "refused")) == (None, 1)


def test_while_the_store_is_silent_it_keeps_serving_says_so_once_and_then_catches_up(
    run: TinyRun,
    follower: IndexFollower,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run.publish(1)
    follower.poll()
    run.publish(2)

    def silent(key: str) -> None:
        raise AnceError("store: unreachable")

    with monkeypatch.context() as outage:
        outage.setattr(run.store, "read_pointer", silent)
        follower.poll()
        follower.poll()
    assert step(follower) == 1
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 1
    follower.poll()
    assert step(follower) == 2


def test_a_version_that_finds_far_less_than_it_recorded_is_refused(
    run: TinyRun, follower: IndexFollower, caplog: pytest.LogCaptureFixture
) -> None:
    run.publish(1)
    follower.poll()
    modest, boastful = {"RR@10": 0.05, "R@100": 1.0}, {"RR@10": 1.0, "R@100": 1.0}
    run.publish_index(run.publish_checkpoint(2), dev=modest)
    follower.poll()
    assert step(follower) == 2
    shuffled = np.random.default_rng(0).permutation
    run.publish_index(run.publish_checkpoint(3), change=shuffled, dev=boastful)
    follower.poll()
    assert step(follower) == 2
    assert "but it was published with 1.000" in caplog.text


def test_retention_spares_what_is_served_and_what_came_before_it(run: TinyRun, metrics: SearchMetrics) -> None:
    opened = run.open()
    follower = IndexFollower(opened, metrics, Corpus(opened))
    for newest in (1, 2, 3):
        run.publish(newest)
        follower.poll()
    run.publish(4)
    run.publish(5)
    for _ in range(2):
        retain(run.store, run.layout, keep=1, grace_seconds=0)
    # While version 3 was being loaded, 1 and 2 were served and gone back to.
    assert [manifest.step for manifest in published_indexes(opened)] == [5, 3, 2, 1]


def test_what_cannot_be_fetched_is_tried_again_after_a_while(
    run: TinyRun, metrics: SearchMetrics, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opened = run.open(fetch_retry_seconds=0.3)
    follower = IndexFollower(opened, metrics, Corpus(opened))
    run.publish(1)
    read = opened.store.read

    def flaky(key: str) -> bytes:
        if key.endswith("manifest.json"):
            raise AnceError("store: unreachable")
        return read(key)

    with monkeypatch.context() as outage:
        outage.setattr(opened.store, "read", flaky)
        follower.poll()
    follower.poll()
    assert (step(follower), swaps(metrics, "failed"), swaps(metrics, "refused")) == (None, 1, 0)
    assert "next try in 0.3 s" in caplog.text
    time.sleep(0.3)
    follower.poll()
    assert step(follower) == 1


@pytest.mark.parametrize("policy", ["availability", "resource"])
def test_policies_differ_in_whether_a_version_is_held_while_the_next_is_loaded(
    run: TinyRun, metrics: SearchMetrics, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    opened = run.open(swap_policy=policy)
    follower = IndexFollower(opened, metrics, Corpus(opened))
    held: list[int | None] = []

    def watched(*arguments: object) -> SearchSnapshot:
        held.append(step(follower))
        return load(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("services.search_api.versions.follower.load", watched)
    for newest in (1, 2):
        run.publish(newest)
        follower.poll()
    assert held == [None, 1 if policy == "availability" else None]
    assert step(follower) == 2


def test_with_policy_resource_a_refused_version_brings_the_old_one_back(run: TinyRun, metrics: SearchMetrics) -> None:
    opened = run.open(swap_policy="resource")
    follower = IndexFollower(opened, metrics, Corpus(opened))
    run.publish(1)
    follower.poll()
    run.publish_index(run.publish_checkpoint(2), damage=write_rubbish)
    follower.poll()
    assert (step(follower), swaps(metrics, "refused")) == (1, 1)


def test_a_replica_that_serves_waits_before_a_swap_and_an_empty_one_does_not(
    run: TinyRun, metrics: SearchMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: (low + high) / 2)
    opened = run.open(swap_jitter_seconds=1.0)
    follower = IndexFollower(opened, metrics, Corpus(opened))
    run.publish(1)
    seconds = []
    for newest in (1, 2):
        run.publish(newest)
        began = time.perf_counter()
        follower.poll()
        seconds.append(time.perf_counter() - began)
    assert step(follower) == 2
    assert seconds[1] >= 0.5


def test_a_pin_is_obeyed_and_survives_a_restart(run: TinyRun, metrics: SearchMetrics) -> None:
    opened = run.open()
    for newest in (1, 2, 3):
        run.publish(newest)
    write_pin(opened, 1)
    for _ in range(2):  # the second one is a new process
        follower = IndexFollower(opened, metrics, Corpus(opened))
        follower.poll()
        assert (step(follower), follower.pinned) == (1, 1)
    assert metrics.registry.get_sample_value("ance_search_index_pinned") == 1
    remove_pin(opened)
    follower.poll()
    assert (step(follower), follower.pinned) == (3, None)


def test_retention_keeps_a_pinned_version(run: TinyRun) -> None:
    opened = run.open()
    for newest in (1, 2, 3):
        run.publish(newest)
    write_pin(opened, 1)
    for _ in range(2):  # the first pass condemns, the second deletes
        retain(run.store, run.layout, keep=1, grace_seconds=0)
    assert [manifest.step for manifest in published_indexes(opened)] == [3, 1]
    with pytest.raises(UnknownVersion, match="version 2"):
        write_pin(opened, 2)
