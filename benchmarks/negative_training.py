"""Trains variants from one warm-up in this process, and scores them: the science of a run without its services."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ance.data.dataset import Dataset
from ance.evaluation.coverage import coverage
from ance.evaluation.metrics import measure
from ance.evaluation.ranking import Ranking
from ance.evaluation.systems import rank_bm25_splits, rank_dense_splits, stream_corpus
from ance.model.bi_encoder import BiEncoder
from ance.model.encoding import TextEncoder
from ance.negatives.answers import answer_filter
from ance.negatives.config import NegativesConfig
from ance.negatives.live import LiveNegatives
from ance.negatives.mined import MinedNegatives, mine, ranking_depth
from ance.negatives.mixing import Drawn, Pool
from ance.negatives.sampling import Rows
from ance.negatives.sources import ListedNegatives, NegativeSource, NoNegatives, RandomNegatives, mixed
from ance.retrieval.bm25 import BM25
from ance.retrieval.topk import StreamingTopK
from ance.runtime.contracts import RunConfig
from ance.training.batches import TrainingBatches
from ance.training.bm25_mining import mine_bm25
from ance.training.config import StageConfig
from ance.training.fixed_passages import FixedPassages
from ance.training.lexical_teacher import LexicalTeacher
from ance.training.optimisers import build_optimiser
from ance.training.preparation import prepare_for_training
from ance.training.query_tower import train_queries_only
from ance.training.schedule import learning_rate
from ance.training.step import TrainingStep, TrainingTexts

MEASURES = ("RR@10", "nDCG@10", "R@100")
DEPTH = 100
QueryVectors = Callable[[Rows], NDArray[np.float32]]
"""Vectors float32 [B, D] of training queries, with the weights of the moment."""


class Schedule(NamedTuple):
    """When ANN negatives are refreshed, in steps."""

    refresh: int
    """From one mining to the next, the first one before the stage begins."""
    lag: int
    """From mining to use. The stage waits for its first negatives."""

    def due(self, step: int, first: int) -> int | None:
        """When negatives that are mined at a step come into use; None where none are mined.

        Args:
            first: step with which the stage begins.
        """
        if (step - first) % self.refresh:
            return None
        return step if step == first else step + self.lag


class Trained(NamedTuple):
    """A model after a stage."""

    model: BiEncoder
    seconds: float
    """The stage took so long, with the mining of ANN negatives. BM25's are mined once, before."""


class Branches:
    """One data set and one warm-up a seed; every variant trains on from its weights, on the same batches of queries.

    Args:
        config: of the warm-up; a variant has its own second stage and mining.
        folder: where weights are kept, so that a variant that comes later starts from the same ones.
        device: where models are trained and encode.
    """

    def __init__(self, config: RunConfig, dataset: Dataset, folder: Path, device: str = "cpu") -> None:
        self.config = config
        self.dataset = dataset
        self._folder = folder
        self._device = device
        self._qrels = dataset.qrels("train")
        self._random = RandomNegatives(len(dataset.passages), self._qrels)
        self._bm25: dict[str, ListedNegatives] = {}  # by the settings of their mining

    def start(self, seed: int) -> Trained:
        """The model before any training, ready for it."""
        torch.manual_seed(seed)
        model = BiEncoder.start(self.config.model)
        return Trained(prepare_for_training(model, self.config.training.dropout, self._device), 0.0)

    def warmed_up(self, seed: int) -> Trained:
        """The model after the warm-up."""
        return self._once("warmup", self.config, self.config.training.warmup, 0, seed, None)

    def trained(self, variant: str, config: RunConfig, seed: int, schedule: Schedule) -> Trained:
        """The model after the second stage of a variant, which `config` and `schedule` describe."""
        return self._once(variant, config, config.training.ance, config.training.warmup.steps, seed, schedule)

    def _once(
        self, name: str, config: RunConfig, stage: StageConfig, first: int, seed: int, schedule: Schedule | None
    ) -> Trained:
        """Train a stage from what comes before it, unless its weights are in the folder."""
        path = self._folder / f"{name}-{seed}.safetensors"
        if path.exists():
            model = self.start(seed).model
            if stage.negatives == "adore":
                train_queries_only(model)
            model.load_state_dict(load_file(path))
            with safe_open(path, framework="pt") as file:
                return Trained(model, float(file.metadata()["seconds"]))
        model = (self.warmed_up(seed) if first else self.start(seed)).model
        fixed = {kind: self.fixed(kind, config.negatives) for kind in stage.sources if kind not in ("ance", "adore")}
        began = time.perf_counter()
        self._train(model, config, stage, first, seed, schedule, fixed)
        seconds = round(time.perf_counter() - began, 1)
        part = path.with_suffix(".part")
        weights = {key: value.cpu().contiguous() for key, value in model.state_dict().items()}
        save_file(weights, part, metadata={"seconds": str(seconds)})
        part.replace(path)
        return Trained(model, seconds)

    def score(self, model: BiEncoder, splits: Sequence[str]) -> dict[str, dict[str, float]]:
        """Split -> measure -> value, by exact search over the whole corpus, which is encoded once."""
        found = rank_dense_splits(self.encoder(model), self.config.model, self.dataset, splits, DEPTH)
        return {split: self._measure(split, dense.full) for split, dense in found.items()}

    def score_bm25(self, splits: Sequence[str]) -> dict[str, dict[str, float]]:
        """The same of BM25's own ranking."""
        found = rank_bm25_splits(self.dataset, splits, DEPTH)
        return {split: self._measure(split, ranking) for split, ranking in found.items()}

    def _measure(self, split: str, ranking: Ranking) -> dict[str, float]:
        values = measure(self.dataset.qrels(split), ranking.ids, MEASURES)
        if self.dataset.has_answers(split):
            values |= coverage(self.dataset.passages, self.dataset.answers(split), ranking.ids)
        return {name: round(value, 5) for name, value in values.items()}

    def _train(
        self,
        model: BiEncoder,
        config: RunConfig,
        stage: StageConfig,
        first: int,
        seed: int,
        schedule: Schedule | None,
        fixed: Mapping[str, NegativeSource],
    ) -> None:
        training = config.training.model_copy(update={"seed": seed})
        torch.manual_seed(seed + first)
        batches = TrainingBatches(self._qrels, training)
        passages = None
        if stage.negatives == "adore":
            train_queries_only(model)
            passages = FixedPassages([self.passage_vectors(model)])
        optimiser = build_optimiser(model, training.in_stage(stage), stage.learning_rate)
        texts = TrainingTexts.of(self.dataset, self.config.model)
        teacher = None
        if stage.lexical_teacher is not None:
            teacher = LexicalTeacher(stage.lexical_teacher, self._bm25_index, self.dataset.queries("train").full_text)
        step = TrainingStep(model, optimiser, texts, training, fixed_passages=passages, lexical_teacher=teacher)
        if passages is not None:
            fixed = {"adore": self._live(passages, step.query_vectors, config.negatives)}
        supply = _Supply(self, model, config, stage, first, schedule, fixed)
        for number in range(first, first + stage.steps):
            rate = learning_rate(stage, number - first)
            batch = batches.batch(number, supply.at(number))
            step.run(number, batch, loss=stage.loss, learning_rate=rate)

    @cached_property
    def _bm25_index(self) -> BM25:
        """BM25 over the passages."""
        return BM25.build(self.dataset.passages.full_texts())

    def fixed(self, kind: str, mining: NegativesConfig) -> NegativeSource:
        """Negatives that no refresh changes, BM25's mined as `mining` says."""
        match kind:
            case "random":
                return self._random
            case "in_batch":
                return NoNegatives()
            case "bm25":
                key = mining.without_scores().model_dump_json()
                if key not in self._bm25:
                    self._bm25[key] = self.listed(mine_bm25(self.dataset, self._bm25_index, mining))
                return self._bm25[key]
        raise ValueError(f"no negatives {kind}")

    def mine(self, model: BiEncoder, config: RunConfig, step: int, previous: MinedNegatives | None) -> MinedNegatives:
        """A version of ANN negatives, as the indexer makes it: one pass over the corpus."""
        encoder, negatives = self.encoder(model), config.negatives
        depth = ranking_depth(self._qrels, negatives)
        queries, passages = self.dataset.queries("train").tokens, self.dataset.passages.tokens
        rows = np.arange(len(queries))
        ranking = StreamingTopK(encoder.queries.encode_rows_at(queries, rows, config.model.max_query_tokens), depth)
        takers, pools = [ranking], []
        if negatives.lookahead:
            positives = self._qrels.padded_positives(rows, config.training.min_positive_grade)[:, 0]
            known = np.maximum(positives, 0)
            near = StreamingTopK(encoder.encode_rows_at(passages, known, config.model.max_passage_tokens), depth)
            takers.append(near)
        stream_corpus(encoder, config.model, self.dataset, takers)
        if negatives.momentum and previous is not None:
            pools.append(Pool(previous.candidates, negatives.momentum))
        if negatives.lookahead:
            neighbours = np.where(positives[:, None] >= 0, near.result()[0], -1)
            pools.append(Pool(neighbours, negatives.lookahead))
        has_answer = answer_filter(self.dataset, negatives)
        return mine(*ranking.result(), self._qrels, negatives, step, pools=pools, has_answer=has_answer)

    def passage_vectors(self, model: BiEncoder) -> NDArray[np.float32]:
        """Vectors of all passages, one each, float32 [passages, D]."""
        passages = self.dataset.passages.tokens
        return self.encoder(model).encode_rows(passages, 0, len(passages), self.config.model.max_passage_tokens)

    def _live(self, passages: FixedPassages, query_vectors: QueryVectors, negatives: NegativesConfig) -> LiveNegatives:
        """Negatives by exact search among passages that stay, with the query vectors of each step."""
        rows = np.arange(len(passages))
        vectors = passages.vectors(rows)

        def retrieve(queries: Rows, depth: int) -> Drawn:
            top = StreamingTopK(query_vectors(queries), depth)
            top.add(vectors, rows)
            return top.result()

        return LiveNegatives(
            retrieve, self._qrels, negatives, self._random, has_answer=answer_filter(self.dataset, negatives)
        )

    def listed(self, mined: MinedNegatives) -> ListedNegatives:
        """Mined negatives as a source."""
        return ListedNegatives(mined.queries, mined.negatives, self._random)

    def encoder(self, model: BiEncoder) -> TextEncoder:
        """Encodes as the run says."""
        return TextEncoder(model.eval(), self.dataset.special, device=self._device, dtype=self.config.encoding.dtype)


class _Supply:
    """The negatives of each step of a stage: those that no refresh changes, by kind, and ANN negatives."""

    def __init__(
        self,
        branches: Branches,
        model: BiEncoder,
        config: RunConfig,
        stage: StageConfig,
        first: int,
        schedule: Schedule | None,
        fixed: Mapping[str, NegativeSource],
    ) -> None:
        self._branches = branches
        self._model = model
        self._config = config
        self._stage = stage
        self._first = first
        self._schedule = schedule
        self._once = config.training.refresh == "static"
        self._sources = dict(fixed)
        self._arriving: dict[int, NegativeSource] = {}
        self._mined: MinedNegatives | None = None

    def at(self, step: int) -> NegativeSource:
        """Negatives for a step; steps are asked for in order."""
        due = self._schedule.due(step, self._first) if self._stage.mines and self._schedule else None
        # Those that would come after the last step are not mined.
        if due is not None and due < self._first + self._stage.steps and not (self._once and self._mined):
            self._mined = self._branches.mine(self._model, self._config, step, self._mined)
            self._arriving[due] = self._branches.listed(self._mined)
        if step in self._arriving:
            self._sources["ance"] = self._arriving.pop(step)
        return mixed([self._sources[kind] for kind in self._stage.sources])
