"""The end of a refresh: what was mined and indexed becomes versions that others can see."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ance.data.dataset import Dataset
from ance.evaluation.metrics import MEASURES
from ance.evaluation.scores import mean_scores
from ance.negatives.answers import answer_filter
from ance.negatives.judging import to_draw
from ance.negatives.mined import MinedNegatives, mine
from ance.negatives.mixing import Pool
from ance.runtime.artifacts import (
    ArtifactNotFound,
    CorruptArtifact,
    fetch,
    publish,
    publish_existing,
    published,
    read_manifest,
)
from ance.runtime.contracts import ArtifactRef, FileEntry, Kind, Part, RunConfig
from ance.runtime.layout import Pointer, RunLayout, manifest_of
from ance.runtime.lease import RunLease
from ance.runtime.logs import get_logger
from ance.runtime.store import Store
from services.indexer.mined import Mined
from services.indexer.scoring import Scoring

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes the versions of one checkpoint under one leadership."""

    store: Store
    config: RunConfig
    layout: RunLayout
    dataset: Dataset
    checkpoint: ArtifactRef
    lease: RunLease
    cache: Path

    def embeddings(self, entries: list[FileEntry]) -> None:
        """Publish the manifest of the encoded shards, whose files the inferencers have written."""
        lineage = self._lineage({})
        passages_step = self.config.training.passages_step(self.checkpoint.step)
        passages = published(self.store, self.layout.embeddings(passages_step))
        if passages is not None and passages_step < self.checkpoint.step:
            lineage["parents"]["passages"] = passages.manifest_sha256  # and so retention keeps them
        publish_existing(
            self.store, self.layout.embeddings(self.checkpoint.step), entries, kind=Kind.EMBEDDINGS, **lineage
        )

    def earlier(self) -> dict[str, MinedNegatives]:
        """What new negatives are compared with: the previous version's and BM25's, as far as they are there."""
        found = {"previous": self._previous(), "bm25": self._bm25()}
        return {reference: negatives for reference, negatives in found.items() if negatives is not None}

    def negatives(
        self, mined: Mined, previous: MinedNegatives | None = None, scoring: Scoring | None = None
    ) -> MinedNegatives:
        """Mine and publish the negatives.

        Args:
            mined: what was mined.
            previous: gives momentum negatives, if there are to be any.
            scoring: has a teacher judge them before they are published, and publishes its scores with them.
        """
        config = self.config.negatives
        negatives = mine(
            *mined.ranking(Part.TRAIN_QUERIES),
            self.dataset.qrels("train"),
            config if scoring is None else to_draw(config, scoring.teacher),
            self.checkpoint.step,
            pools=self._pools(mined, previous),
            has_answer=answer_filter(self.dataset, config),
        )
        if scoring is not None:
            negatives = scoring.judge(negatives)
        with self._staging() as folder:
            negatives.save(folder)
            stats: dict[str, Any] = {"checkpoint_created_at": self.checkpoint.created_at}
            if self.config.negatives.momentum:
                stats["previous_step"] = self._previous_step()
            self._publish(folder, Kind.NEGATIVES, self.layout.negatives, "negatives", stats)
        return negatives

    def index(self, mined: Mined, record: Mapping[str, Any]) -> None:
        """Publish the index with the record of its refresh as `eval.json`."""
        # Kept when retention deletes the version: the history of a run costs a few hundred bytes a refresh.
        self.store.write(self.layout.refresh_record(self.checkpoint.step), json.dumps(record).encode())
        with self._staging() as folder:
            stored = mined.finish(folder)
            (folder / "eval.json").write_text(json.dumps(record, indent=1))
            stats = dict(record, dataset=self.config.dataset, checkpoint=self.checkpoint.model_dump(mode="json"))
            self._publish(folder, Kind.INDEX, self.layout.index, "index", stats, stored)

    def dev_metrics(self, mined: Mined) -> dict[str, float]:
        """Metrics of the dev split by exact search, and Coverage where its queries have answers."""
        ids, _ = mined.ranking(Part.DEV_QUERIES)
        return mean_scores(self.dataset, "dev", ids, MEASURES)

    def _publish(
        self,
        folder: Path,
        kind: Kind,
        prefix: Callable[[int], str],
        pointer: Pointer,
        stats: Mapping[str, Any],
        stored: Sequence[FileEntry] = (),
    ) -> None:
        publish(
            self.store,
            prefix(self.checkpoint.step),
            folder,
            kind=kind,
            pointer=self.layout.pointer(pointer),
            final=self.checkpoint.final,
            stored=stored,
            **self._lineage(stats),
        )

    def _lineage(self, stats: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "run_id": self.config.run,
            "step": self.checkpoint.step,
            # Read anew each time: it grows when Redis was flushed and the lease re-acquired.
            "fencing_token": self.lease.token,
            "parents": {"checkpoint": self.checkpoint.manifest_sha256},
            "config_sha256": self.config.sha256,
            "stats": dict(stats),
        }

    def _pools(self, mined: Mined, previous: MinedNegatives | None) -> list[Pool]:
        negatives = self.config.negatives
        pools = []
        if negatives.momentum and previous is not None:
            pools.append(Pool(np.asarray(previous.candidates), negatives.momentum))
        neighbours = mined.neighbours_of_positives()
        if neighbours is not None:
            pools.append(Pool(neighbours, negatives.lookahead))
        return pools

    def _previous(self) -> MinedNegatives | None:
        step = self._previous_step()
        return None if step is None else self._to_compare(self.layout.negatives(step))

    def _previous_step(self) -> int | None:
        """Step of the version before this one, also where this one was published before an interruption."""
        ref = self.store.read_pointer(self.layout.pointer("negatives"))
        if ref is None or ref.step > self.checkpoint.step:
            return None
        if ref.step < self.checkpoint.step:
            return ref.step
        step = read_manifest(self.store, ref.manifest_uri, ref.manifest_sha256).stats.get("previous_step")
        return None if step is None else int(step)

    def _bm25(self) -> MinedNegatives | None:
        prefix = self.layout.bm25_negatives
        return self._to_compare(prefix) if self.store.exists(manifest_of(prefix)) else None

    def _to_compare(self, source: ArtifactRef | str) -> MinedNegatives | None:
        try:
            return MinedNegatives.open(fetch(self.store, source, self.cache))
        except (ArtifactNotFound, CorruptArtifact) as error:
            # The overlap is a figure for people: no reason to stop a run.
            log.warning("overlap not measured: %s", error, extra={"step": self.checkpoint.step})
            return None

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        with TemporaryDirectory(dir=self.cache) as folder:
            yield Path(folder)
