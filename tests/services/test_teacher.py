"""A teacher from the folder of a cross-encoder to what the trainer learns from it: real queue, real models."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from redis import Redis
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from ance.errors import AnceError
from ance.model.cross_encoder import CrossEncoder
from ance.model.encoding import EncodingStopped
from ance.negatives.mined import MinedNegatives
from ance.negatives.pair_scores import PairScores, pairs_of, rows_of
from ance.runtime.artifacts import CorruptArtifact, fetch
from ance.runtime.contracts import ScoreTask
from ance.runtime.holds import VersionHold
from ance.runtime.metrics import InferencerMetrics
from ance.runtime.queue import TaskQueue
from ance.runtime.redis.local_server import LocalRedis
from ance.runtime.shutdown import Shutdown
from ance.runtime.teacher import provide_teacher
from services.indexer.collector import PassInterrupted
from services.inferencer import loop
from services.inferencer.encoders import Encoders
from services.inferencer.loop import Inferencer
from services.inferencer.scoring import PairScorer
from tests.services.conftest import NewRun
from tests.services.indexer.passes import Pass
from tests.services.service_run import ServiceRun, background, wait_until
from tests.system.tiny import TRAIN

DEPTH, MARGIN = 8, 0.2
MAX_TOKENS = 24
LEASE_SECONDS = 1.0
PAIRS = TRAIN * (1 + DEPTH)


@pytest.fixture(scope="module")
def cross_encoder(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random cross-encoder whose scores differ from pair to pair."""
    torch.manual_seed(3)
    model = CrossEncoder.start(str(prepared / "encoder"), max_tokens=MAX_TOKENS)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    folder = tmp_path_factory.mktemp("teacher") / "cross-encoder"
    model.save(folder)
    return folder


@pytest.fixture
def run(new_run: NewRun, cross_encoder: Path) -> ServiceRun:
    """A run that denoises and distils with it. A pass scores its pairs as one task, in hundreds of batches."""
    teacher = {"cross_encoder": str(cross_encoder), "depth": DEPTH, "denoise_margin": MARGIN}
    ance = {"steps": 60, "learning_rate": 1e-3, "negatives": "ance", "loss": "margin_mse", "teacher": teacher}
    run = new_run(training={"ance": ance}, encoding={"token_budget": 40})
    assert run.config.training.ance.teacher is not None
    provide_teacher(run.store, run.layout, run.config.training.ance.teacher, run.cache)
    return run


@contextmanager
def inferencing(under_way: Pass, metrics: InferencerMetrics) -> Iterator[None]:
    """An inferencer works for the length of the block."""
    run = under_way.run
    hold = VersionHold(run.store, run.layout, "test")
    encoders = Encoders(run.store, hold, run.cache, run.config.encoding, "cpu", metrics)
    scorer = PairScorer(run.dataset, run.store, run.cache, run.config.encoding, "cpu")
    queue = TaskQueue(under_way.client, run.config.run, "inferencer", lease_seconds=LEASE_SECONDS)
    with Shutdown(signals=()) as stop:
        worker = Inferencer(run.config, run.dataset, run.store, queue, encoders, scorer, metrics, stop)
        with background(worker.run, stop=stop.request):
            yield


def refresh(under_way: Pass, step: int) -> Callable[[], None]:
    """A pass with a checkpoint, to its end."""
    checkpoint = under_way.run.publish_checkpoint(step)

    def lead() -> None:
        assert under_way.lease.acquire() is not None
        try:
            under_way.refresh.run(checkpoint, under_way.lease)
        finally:
            under_way.lease.release()

    return lead


def published_negatives(run: ServiceRun, step: int) -> MinedNegatives:
    return MinedNegatives.open(fetch(run.store, run.layout.negatives(step), run.cache))


def plain_scores(run: ServiceRun, cross_encoder: Path, pairs: np.ndarray) -> np.ndarray:
    """What transformers make of the pairs."""
    queries, passages = rows_of(pairs)
    texts = [
        (run.dataset.queries("train").documents[query]["text"], run.dataset.passages.documents[passage]["text"])
        for query, passage in zip(queries.tolist(), passages.tolist(), strict=True)
    ]
    tokenizer = AutoTokenizer.from_pretrained(cross_encoder)
    model = AutoModelForSequenceClassification.from_pretrained(cross_encoder).eval()
    batch = tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    with torch.no_grad():
        scores: np.ndarray = model(**batch).logits[:, 0].numpy()
    return scores


@pytest.fixture
def pairs_on_the_queue(client: Redis) -> Callable[[Pass], bool]:
    """Whether a worker has a scoring task in hand."""

    def in_hand(under_way: Pass) -> bool:
        keys = under_way.queue.keys
        entries = client.xrange(keys.queries)
        return any('"kind":"score"' in fields["task"] for _, fields in entries) and (
            client.xpending(keys.queries, "inferencers")["pending"] > 0
        )

    return in_hand


@pytest.mark.timeout(400)
def test_scores_are_those_of_a_plain_script_though_a_worker_is_killed_while_it_scores(
    run: ServiceRun,
    cross_encoder: Path,
    redis_server: LocalRedis,
    client: Redis,
    shutdown: Shutdown,
    pairs_on_the_queue: Callable[[Pass], bool],
) -> None:
    run.store.write(run.layout.run_yaml, run.config.model_dump_json().encode())  # JSON is YAML
    under_way = Pass(run, client, shutdown)
    lead = refresh(under_way, 20)
    environment = {
        **os.environ,
        "ANCE_STORE": run.store.url,
        "ANCE_RUN": run.config.run,
        "ANCE_REDIS_URL": redis_server.url,
        "ANCE_CACHE_DIR": str(run.cache / "doomed"),
        "ANCE_METRICS_PORT": "0",
        "ANCE_LEASE_SECONDS": str(LEASE_SECONDS),
    }
    doomed = subprocess.Popen([sys.executable, "-m", "services.inferencer"], env=environment)
    metrics = InferencerMetrics()
    try:
        with background(lead, stop=lambda: None):
            wait_until(lambda: pairs_on_the_queue(under_way), 120)
            doomed.kill()
            doomed.wait()
            assert len(under_way.queue.outstanding()) == 1, "it was in the middle"
            assert not [key for key in run.store.list(run.layout.scores(20)) if key.endswith("scores.npy")]
            with inferencing(under_way, metrics):
                wait_until(lambda: not under_way.queue.outstanding(), 120)
    finally:
        doomed.kill()
        doomed.wait()

    mined = published_negatives(run, 20)
    assert metrics.registry.get_sample_value("ance_inferencer_pairs_scored_total") == PAIRS
    known = PairScores.open(fetch(run.store, run.layout.scores(20), run.cache))
    assert len(known) == PAIRS
    plain = PairScores(known.pairs, plain_scores(run, cross_encoder, known.pairs))
    assert np.ptp(plain.scores) > 0.5, "scores that hardly differ would prove little"
    np.testing.assert_allclose(known.scores, plain.scores, atol=1e-5)

    assert mined.teacher is not None
    np.testing.assert_allclose(mined.teacher.scores, plain.look_up(mined.teacher.pairs), atol=1e-5)
    own, kept = pairs_of(mined.queries, mined.negatives), mined.negatives >= 0
    limit = plain.look_up(pairs_of(mined.queries, mined.queries[:, None])) - MARGIN  # passage q answers query q
    assert (plain.look_up(own) <= limit + 1e-5)[kept].all()
    relevant = (plain.look_up(plain.pairs) > limit[rows_of(plain.pairs)[0], 0]).sum() - TRAIN  # not the positives
    assert 0 < mined.dropped["denoised"] == relevant


def test_a_second_version_has_only_new_pairs_scored(
    run: ServiceRun, client: Redis, shutdown: Shutdown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "BLOCK_SECONDS", 0.05)
    under_way, metrics = Pass(run, client, shutdown), InferencerMetrics()
    with inferencing(under_way, metrics):
        for step in (20, 25):
            refresh(under_way, step)()
    first, both = (PairScores.open(fetch(run.store, run.layout.scores(step), run.cache)) for step in (20, 25))
    assert len(first) == PAIRS < len(both) < 2 * PAIRS - TRAIN
    np.testing.assert_array_equal(both.look_up(first.pairs), first.scores)
    assert metrics.registry.get_sample_value("ance_inferencer_pairs_scored_total") == len(both)
    second = published_negatives(run, 25)
    assert second.teacher is not None
    np.testing.assert_array_equal(second.teacher.scores, both.look_up(second.teacher.pairs))


def task_in_hand(under_way: Pass) -> ScoreTask:
    """The scoring task of a pass that then ends."""
    with Shutdown(signals=()) as stop:
        leading = Pass(under_way.run, under_way.client, stop)
        lead = refresh(leading, 20)

        def interrupted() -> None:
            with pytest.raises(PassInterrupted):
                lead()

        with background(interrupted, stop=stop.request):
            leading.worker.work(10)  # what has to be encoded
            lease = leading.as_worker("looker").take(5)
            assert lease is not None and isinstance(lease.task, ScoreTask)
            lease.hand_back()
            return lease.task


def test_a_scorer_stops_when_told_to_and_refuses_pairs_that_are_not_the_tasks(
    run: ServiceRun, client: Redis, shutdown: Shutdown
) -> None:
    task = task_in_hand(Pass(run, client, shutdown))
    scorer = PairScorer(run.dataset, run.store, run.cache, run.config.encoding, "cpu")
    assert scorer.load(task) is scorer.load(task)
    asked = iter([False, False, True])
    with pytest.raises(EncodingStopped):
        scorer.score(task, lambda: next(asked))
    run.store.write(task.pairs_uri, run.store.read(task.pairs_uri)[:-8])
    with pytest.raises(CorruptArtifact, match=r"pairs\.npy: has sha256 .*, the task names"):
        scorer.score(task, lambda: False)
    with pytest.raises(CorruptArtifact, match="expected 0000"):
        scorer.load(task.model_copy(update={"teacher_sha256": "0" * 64}))


def test_a_run_keeps_the_teacher_it_was_created_with(run: ServiceRun, cross_encoder: Path, tmp_path: Path) -> None:
    teacher = run.config.training.ance.teacher
    assert teacher is not None
    provide_teacher(run.store, run.layout, teacher, run.cache)  # again: nothing changes
    other = CrossEncoder.load(cross_encoder, max_tokens=12)
    other.save(tmp_path / "other")
    changed = teacher.model_copy(update={"cross_encoder": str(tmp_path / "other")})
    with pytest.raises(AnceError, match=r"/teacher/manifest\.json: other files are published there"):
        provide_teacher(run.store, run.layout, changed, run.cache)
