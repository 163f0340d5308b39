"""Which negatives the next step trains on, and whether it may run at all."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np

from ance.data.dataset import Dataset
from ance.errors import AnceError
from ance.negatives.answers import answer_filter
from ance.negatives.live import LiveNegatives, Retrieve
from ance.negatives.mined import MinedNegatives
from ance.negatives.pair_scores import PairScores
from ance.negatives.sources import ListedNegatives, NegativeSource, NoNegatives, RandomNegatives, mixed
from ance.runtime.contracts import RunConfig
from ance.runtime.logs import get_logger
from ance.runtime.metrics import TrainerMetrics
from ance.runtime.tracing import span
from ance.training.given_mining import mine_given
from services.trainer.boundary import Boundary
from services.trainer.fresh_negatives import FreshNegatives, NegativesVersion
from services.trainer.stages import Stage

log = get_logger(__name__)

WAIT_SECONDS = 0.5
"""One wait for newer negatives: the longest delay before the wish to stop is noticed."""


@dataclass(frozen=True, slots=True)
class Supply:
    """Negatives for one step. `version` is None where they do not come from an index."""

    source: NegativeSource
    version: NegativesVersion | None = None
    teacher: PairScores | None = None
    """What the teacher has scored of them."""
    since: int = 0
    """The first step on this version is the one after."""

    def traced(self, step: int) -> AbstractContextManager[object]:
        """A span around the first step on a version: there ends the trace that its checkpoint began."""
        if self.version is None or step != self.since:
            return nullcontext()
        return span(
            "first step", parent=self.version.ref.traceparent, step=step + 1, async_gap_steps=step - self.version.step
        )

    def async_gap(self, step: int) -> int | None:
        """Steps between the model that mined the negatives and the model that learns from them."""
        return None if self.version is None else step - self.version.step

    def async_gap_seconds(self) -> float | None:
        """Age of the checkpoint that the negatives were mined with."""
        return None if self.version is None else time.time() - self.version.checkpoint_created_at


class NegativeSupply:
    """Gives each step the newest negatives of its stage's kind, the same on every rank."""

    def __init__(
        self,
        dataset: Dataset,
        fresh: FreshNegatives,
        bm25: Callable[[], MinedNegatives],
        config: RunConfig,
        metrics: TrainerMetrics,
        boundary: Boundary,
    ) -> None:
        """`bm25` mines or fetches BM25's negatives, once a stage needs them."""
        self._dataset = dataset
        self._random = RandomNegatives(len(dataset.passages), dataset.qrels("train"))
        self._fresh = fresh
        self._bm25 = bm25
        self._training = config.training
        self._mining = config.negatives
        self._metrics = metrics
        self._boundary = boundary
        self._fixed: Mapping[str, NegativeSource] = {}  # of the stage, by kind
        self._current: Supply | None = None

    @property
    def version(self) -> int | None:
        """Version of the negatives in use; None where they do not come from an index."""
        current = self._current
        return None if current is None or current.version is None else current.version.step

    @property
    def finishing(self) -> bool:
        """Whether training ends early, after the step that is under way."""
        return self._boundary.finishing

    def start(self, stage: Stage, retrieve: Retrieve | None = None) -> None:
        """Prepare for a stage; mines BM25's negatives if it trains on them. `retrieve` is for ADORE, which needs it."""
        fixed = [kind for kind in stage.config.sources if kind != "ance"]
        self._fixed = {kind: self._fixed_source(kind, retrieve) for kind in fixed}
        self._current = None if stage.config.mines else Supply(self._mixed(stage, self._fixed))

    def for_step(self, stage: Stage, step: int) -> Supply | None:
        """Negatives for the step after `step`; None where a rank wants to stop.

        Newer negatives are taken without waiting. It waits only where there is nothing to train on: before a
        run's first version, and while the newest is older than the configuration allows.

        Raises:
            PeerLost: another rank is gone.
        """
        if not stage.config.mines:
            return self._current if self._boundary.meet() else None
        version = self._newest_from(self._training.oldest_negatives(step))
        if version is not None and (self._current is None or self._current.version is not version):
            source = self._mixed(stage, {**self._fixed, "ance": self._listed(version.negatives)})
            self._current = Supply(source, version, self._teacher(stage, version), step)
            log.info("training on newer negatives", extra={"version": version.step, "step": step})
        return None if version is None else self._current

    def _newest_from(self, oldest: int) -> NegativesVersion | None:
        """The version that all ranks have, once it is of checkpoint `oldest` or newer; None where one wants to stop."""
        waiting = False
        try:
            while self._boundary.meet():
                version = self._boundary.version
                if version is not None and version.step >= oldest:
                    return version
                if not waiting:
                    log.info("waiting for negatives", extra={"version": oldest})
                    self._metrics.waiting.set(1)
                    waiting = True
                self._fresh.wait_from(oldest, WAIT_SECONDS)
            return None
        finally:
            self._metrics.waiting.set(0)

    @staticmethod
    def _mixed(stage: Stage, sources: Mapping[str, NegativeSource]) -> NegativeSource:
        return mixed([sources[kind] for kind in stage.config.sources])

    def _fixed_source(self, kind: str, retrieve: Retrieve | None) -> NegativeSource:
        """Negatives that no refresh changes."""
        match kind:
            case "random":
                return self._random
            case "given":
                return self._static(mine_given(self._dataset, self._mining))
            case "bm25":
                return self._static(self._bm25())
            case "in_batch":
                return NoNegatives()
            case "adore":
                assert retrieve is not None, "the loop opens an index for the stage"
                return self._live(retrieve)
        raise ValueError(f"no negatives {kind}")

    @staticmethod
    def _teacher(stage: Stage, version: NegativesVersion) -> PairScores | None:
        if stage.config.loss != "margin_mse":
            return None
        if version.negatives.teacher is None:
            raise AnceError(
                f"{version.ref.manifest_uri}: these negatives come without the scores that loss: margin_mse learns"
                " from: they were mined without a teacher, begin another run"
            )
        return version.negatives.teacher

    def _live(self, retrieve: Retrieve) -> LiveNegatives:
        return LiveNegatives(
            retrieve,
            self._dataset.qrels("train"),
            self._mining,
            self._random,
            has_answer=answer_filter(self._dataset, self._mining),
            on_drop=self._count_dropped,
            on_fill=self._metrics.negatives_filled.inc,
        )

    def _count_dropped(self, dropped: Mapping[str, int]) -> None:
        for name, count in dropped.items():
            self._metrics.candidates_dropped.labels(filter=name).inc(count)

    def _static(self, mined: MinedNegatives) -> ListedNegatives:
        """Negatives of the whole stage; those of an index are counted by the indexer."""
        self._count_dropped(mined.dropped)
        return self._listed(mined)

    def _listed(self, mined: MinedNegatives) -> ListedNegatives:
        return ListedNegatives(
            np.asarray(mined.queries), mined.negatives, self._random, on_fill=self._metrics.negatives_filled.inc
        )
