"""MaxP and two towers through all services: inferencer, indexer, search; and `ance eval` beside them.

Whatever they find is compared with all texts encoded one by one, and a maximum over the chunks of each passage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from redis import Redis

from ance.data.texts import Texts
from ance.evaluation.metrics import measure
from ance.evaluation.systems import rank_dense
from ance.model.bi_encoder import BiEncoder
from ance.model.encoding import TextEncoder
from ance.negatives.mined import MinedNegatives
from ance.runtime.artifacts import fetch, published, read_manifest
from ance.runtime.contracts import ArtifactRef
from ance.runtime.holds import VersionHold
from ance.runtime.layout import manifest_of
from ance.runtime.metrics import InferencerMetrics, SearchMetrics
from ance.runtime.run import OpenRun
from ance.runtime.shutdown import Shutdown
from services.inferencer import loop
from services.inferencer.encoders import Encoders
from services.inferencer.loop import Inferencer
from services.inferencer.scoring import PairScorer
from services.search_api.engine.batcher import Job
from services.search_api.engine.dense import DenseJob, DenseRequest, answer_batch
from services.search_api.settings import SearchSettings
from services.search_api.versions.corpus import Corpus
from services.search_api.versions.follower import IndexFollower
from tests.services.conftest import NewRun
from tests.services.indexer.passes import Pass
from tests.services.service_run import ServiceRun, background
from tests.system.tiny import DEV, PASSAGES, TRAIN

CHUNK = 5  # tokens with the two special ones: a passage of eight words has three chunks, of 3, 3 and 2
MAX_P: dict[str, object] = {"max_passage_tokens": CHUNK, "max_chunks": 4}
TOWERS: dict[str, object] = {"shared": False}

Vectors = NDArray[np.float32]


@dataclass
class Refreshed:
    """A run with one published version, and the same by hand."""

    run: ServiceRun
    checkpoint: ArtifactRef

    @cached_property
    def model(self) -> BiEncoder:
        return BiEncoder.load(fetch(self.run.store, self.checkpoint, self.run.cache))

    def encode(self, tower: BiEncoder, content: NDArray[np.int64]) -> Vectors:
        special = self.run.dataset.special
        ids = torch.tensor([[*special.prefix, *content.tolist(), *special.suffix]])
        with torch.no_grad():
            vector: Vectors = tower(ids, torch.ones_like(ids))[0].numpy()
        return vector

    def queries(self, texts: Texts) -> Vectors:
        limit = self.run.config.model.max_query_tokens - 2
        return np.stack([self.encode(self.model.queries, texts.tokens[row][:limit]) for row in range(len(texts))])

    @cached_property
    def chunks(self) -> list[Vectors]:
        """The vectors of each passage."""
        model = self.run.config.model
        size, tokens = model.max_passage_tokens - 2, self.run.dataset.passages.tokens
        return [
            np.stack(
                [self.encode(self.model, tokens[row][at : at + size]) for at in range(0, len(tokens[row]), size)][
                    : model.max_chunks
                ]
            )
            for row in range(PASSAGES)
        ]

    def scores(self, queries: Vectors) -> Vectors:
        """float32 [queries, passages]."""
        return np.stack([(queries @ chunks.T).max(1) for chunks in self.chunks], axis=1)


@pytest.fixture
def refresh(
    new_run: NewRun, client: Redis, shutdown: Shutdown, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Refreshed]:
    """Encodes, mines and publishes one version of a run with some settings of its model changed."""
    monkeypatch.setattr(loop, "BLOCK_SECONDS", 0.05)

    def make(model: dict[str, object]) -> Refreshed:
        under_way = Pass(new_run(model=model), client, shutdown)
        run, metrics = under_way.run, InferencerMetrics()
        hold = VersionHold(run.store, run.layout, "test")
        encoders = Encoders(run.store, hold, run.cache, run.config.encoding, "cpu", metrics)
        with Shutdown(signals=()) as stop:
            scorer = PairScorer(run.dataset, run.store, run.cache, run.config.encoding, "cpu")
            inferencer = Inferencer(
                run.config, run.dataset, run.store, under_way.as_worker("inferencer"), encoders, scorer, metrics, stop
            )
            assert under_way.lease.acquire() is not None
            checkpoint = run.publish_checkpoint(20)
            with background(inferencer.run, stop=stop.request):
                under_way.refresh.run(checkpoint, under_way.lease)
            under_way.lease.release()
        vectors = under_way.metrics.registry.get_sample_value("ance_indexer_index_vectors")
        assert vectors == PASSAGES * (3 if "max_chunks" in model else 1)
        assert metrics.registry.get_sample_value("ance_inferencer_rows_encoded_total", {"part": "passages"}) == PASSAGES
        return Refreshed(run, checkpoint)

    return make


@pytest.mark.parametrize("model", [MAX_P, TOWERS, MAX_P | TOWERS], ids=["maxp", "towers", "maxp-towers"])
def test_mining_search_and_evaluation_rank_as_by_hand(
    refresh: Callable[..., Refreshed], model: dict[str, object], tmp_path: Path
) -> None:
    found = refresh(model)
    run, dataset = found.run, found.run.dataset

    # Mining: the best passages without the positive, which is passage q for query q.
    train = found.scores(found.queries(dataset.queries("train")))
    train[np.arange(TRAIN), np.arange(TRAIN)] = -np.inf
    mined = MinedNegatives.open(fetch(run.store, run.layout.negatives(20), run.cache))
    of_candidates = np.take_along_axis(train, np.asarray(mined.candidates), 1)
    np.testing.assert_allclose(of_candidates, -np.sort(-train, axis=1)[:, :20], atol=1e-4)
    assert all(len(set(row)) == 20 for row in mined.candidates.tolist())

    # The dev metrics of the version, and `ance eval`.
    dev = found.scores(found.queries(dataset.queries("dev")))
    exact = np.argsort(-dev, axis=1, kind="stable")
    recorded = read_manifest(run.store, manifest_of(run.layout.index(20))).stats
    assert recorded["dev"] == pytest.approx(measure(dataset.qrels("dev"), exact), abs=1e-6)
    assert recorded["recall_probe"]["recall"] == 1
    encoder = TextEncoder.load(fetch(run.store, found.checkpoint, run.cache))
    ranking = rank_dense(encoder, run.config.model, dataset, "dev", 50)
    np.testing.assert_allclose(ranking.scores, -np.sort(-dev, axis=1)[:, :50], atol=1e-4)

    # Search: as many passages as were asked for, each once.
    settings = {"store": run.store.url, "run": run.config.run, "cache_dir": tmp_path / "cache"}
    opened = OpenRun(SearchSettings.model_validate(settings), run.config, run.store, run.layout)
    follower = IndexFollower(opened, SearchMetrics(), Corpus(opened))
    follower.poll()
    snapshot = follower.current
    assert snapshot is not None, follower.refusal(read_manifest(run.store, manifest_of(run.layout.index(20))))
    assert snapshot.index.size == PASSAGES
    texts = tuple(document["text"] for document in dataset.queries("dev").documents[:DEV])
    with closing(asyncio.new_event_loop()) as loop:
        jobs: list[DenseJob] = [
            Job(DenseRequest(texts, run.config.model.max_query_tokens, top_k), 1, loop.create_future())
            for top_k in (10, PASSAGES, 0)
        ]
        answers = answer_batch(snapshot, jobs)
    for top_k, answer in zip((10, PASSAGES), answers[:2], strict=True):
        assert answer.rows.shape == (DEV, top_k)
        assert all(len(set(row)) == top_k and min(row) >= 0 for row in answer.rows.tolist())
        np.testing.assert_allclose(answer.scores, -np.sort(-dev, axis=1)[:, :top_k], atol=1e-4)
        np.testing.assert_allclose(np.take_along_axis(dev, answer.rows, 1), answer.scores, atol=1e-4)


def test_a_text_to_embed_goes_through_the_tower_of_passages(refresh: Callable[..., Refreshed]) -> None:
    found = refresh(TOWERS)
    run = found.run
    assert published(run.store, run.layout.index(20)) is not None
    encoder = TextEncoder.load(fetch(run.store, found.checkpoint, run.cache))
    text = run.dataset.passages.documents[0]["text"]
    as_passage, as_query = encoder.encode_texts([text], 16)[0], encoder.queries.encode_texts([text], 16)[0]
    np.testing.assert_allclose(as_passage, found.chunks[0][0], atol=1e-5)
    assert np.abs(as_passage - as_query).max() > 0.1


def test_a_shard_of_another_number_of_chunks_is_refused(new_run: NewRun, client: Redis, shutdown: Shutdown) -> None:
    under_way = Pass(new_run(model=MAX_P), client, shutdown)
    with under_way.worker.working(), pytest.raises(Exception, match=r"expected 120 float32 rows, found float32 \(40"):
        list(under_way.collector.collect(under_way.tasks()))
