"""The teacher's scores of what was mined: those of earlier versions, and the rest by way of the inferencers."""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from ance.data.qrels import Qrels
from ance.errors import AnceError
from ance.negatives.config import TeacherConfig
from ance.negatives.judging import judge, pairs_to_score
from ance.negatives.mined import MinedNegatives
from ance.negatives.pair_scores import PairScores
from ance.runtime.artifacts import fetch, publish, read_manifest
from ance.runtime.contracts import ArtifactRef, Kind, RunConfig, ScoreTask
from ance.runtime.layout import RunLayout
from ance.runtime.lease import RunLease
from ance.runtime.logs import get_logger
from ance.runtime.metrics import IndexerMetrics
from ance.runtime.store import Store
from ance.runtime.teacher import teacher_of
from ance.runtime.tracing import current_traceparent
from services.indexer.collector import Collector

log = get_logger(__name__)


@dataclass(slots=True)
class Scoring:
    """Has negatives judged for the version of one checkpoint under one leadership.

    All scores of a run are one artifact a version, `scores/<step>`, of everything that is known by then. So no pair is
    scored twice, and what a version needs is in one place.
    """

    store: Store
    config: RunConfig
    teacher: TeacherConfig
    layout: RunLayout
    qrels: Qrels
    """Of the training split."""
    checkpoint: ArtifactRef
    lease: RunLease
    collector: Collector
    metrics: IndexerMetrics
    cache: Path
    seconds: float = field(default=0.0, init=False)
    """What judging has taken."""

    def judge(self, mined: MinedNegatives) -> MinedNegatives:
        """What the teacher leaves of negatives that were drawn for it, with its scores; see `judge` of the science.

        Waits for the inferencers. Interrupted and begun again, by this process or another, it continues with the
        pairs that are missing.

        Raises:
            PassInterrupted: leadership or process ends; nothing half-done is visible.
            AnceError: a task can't be done, or the run has no teacher.
        """
        started = time.perf_counter()
        positives = self.qrels.padded_positives(mined.queries, self.config.training.min_positive_grade)
        known = self._knowing(pairs_to_score(mined, positives))
        judged = judge(mined, positives, known, self.config.negatives, self.teacher, self.checkpoint.step)
        self.seconds = time.perf_counter() - started
        return judged

    def _knowing(self, pairs: NDArray[np.int64]) -> PairScores:
        """Scores of at least these pairs."""
        teacher = teacher_of(self.store, self.layout)
        known = self._known(teacher)
        missing = known.missing(pairs)
        self.metrics.pairs.labels(source="known").inc(np.unique(pairs[pairs >= 0]).size - missing.size)
        if not missing.size:
            return known
        log.info("pairs to score: %d", missing.size, extra={"step": self.checkpoint.step})
        shards = np.split(missing, range(self.teacher.shard_pairs, missing.size, self.teacher.shard_pairs))
        tasks = [self._task(teacher, shard, pairs) for shard, pairs in enumerate(shards)]
        scored = {task.shard: self._scores(task) for task in self.collector.oversee(tasks)}
        self.metrics.pairs.labels(source="scored").inc(missing.size)
        fresh = PairScores(missing, np.concatenate([scored[task.shard] for task in tasks]))
        known = known.and_also(fresh)
        self._publish(known, teacher)
        return known

    def _known(self, teacher: ArtifactRef) -> PairScores:
        """What this teacher has scored for earlier versions, or for this one before an interruption."""
        ref = self.store.read_pointer(self.layout.pointer("scores"))
        if ref is None:
            return PairScores.none()
        manifest = read_manifest(self.store, ref.manifest_uri, ref.manifest_sha256)
        if manifest.parents["teacher"] != teacher.manifest_sha256:
            return PairScores.none()
        return PairScores.open(fetch(self.store, ref, self.cache))

    def _task(self, teacher: ArtifactRef, shard: int, pairs: NDArray[np.int64]) -> ScoreTask:
        """The task of some pairs of neighbouring queries; the pairs are put where it says."""
        buffer = io.BytesIO()
        np.save(buffer, pairs, allow_pickle=False)
        sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
        # Named by its content: another leader that asks for other pairs cannot take these for its own.
        name = f"{self.layout.score_parts(self.checkpoint.step)}/{shard}-{sha256[:16]}"
        self.store.write_new(f"{name}.pairs.npy", buffer.getvalue())
        return ScoreTask(
            run_id=self.config.run,
            step=self.checkpoint.step,
            shard=shard,
            pairs_uri=f"{name}.pairs.npy",
            pairs_sha256=sha256,
            size=len(pairs),
            teacher_uri=teacher.manifest_uri,
            teacher_sha256=teacher.manifest_sha256,
            output_uri=f"{name}.scores.npy",
            traceparent=current_traceparent(),
        )

    def _scores(self, task: ScoreTask) -> NDArray[np.float32]:
        remedy = "delete the file to have its pairs scored again"
        try:
            scores: NDArray[np.float32] = np.load(io.BytesIO(self.store.read(task.output_uri)), allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise AnceError(f"{task.output_uri}: not a .npy file ({error}); {remedy}") from error
        if scores.shape != (task.size,) or scores.dtype != np.float32 or not np.isfinite(scores).all():
            found = f"{scores.dtype} {scores.shape}"
            raise AnceError(f"{task.output_uri}: expected {task.size} finite float32 scores, found {found}; {remedy}")
        return scores

    def _publish(self, known: PairScores, teacher: ArtifactRef) -> None:
        self.collector.require_leadership()
        with TemporaryDirectory(dir=self.cache) as folder:
            known.save(Path(folder))
            publish(
                self.store,
                self.layout.scores(self.checkpoint.step),
                Path(folder),
                kind=Kind.SCORES,
                run_id=self.config.run,
                step=self.checkpoint.step,
                fencing_token=self.lease.token,
                parents={"teacher": teacher.manifest_sha256},
                config_sha256=self.config.sha256,
                stats={"pairs": len(known)},
                pointer=self.layout.pointer("scores"),
            )
