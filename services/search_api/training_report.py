"""The progress of the training as the store has it: series of the trainer, records of refreshes, the pass under way."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

from ance.data.dataset import Dataset
from ance.runtime.run import OpenRun
from ance.runtime.shards import encoder_step, rows_of, shards_of
from services.search_api.models.training import (
    GradientNorms,
    Numbers,
    RefreshProgress,
    StepSeries,
    TrainingReport,
    VersionMetrics,
)
from services.search_api.settings import SearchSettings

CACHE_SECONDS = 1.0
MAX_POINTS = 500
"""Points of a curve: more than a chart has pixels to show apart."""

Record = dict[str, Any]


class TrainingReporter:
    """Reads what is new and keeps the rest: a segment of the series and a record of a refresh never change."""

    def __init__(self, run: OpenRun[SearchSettings]) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._segments: dict[str, list[Record]] = {}
        self._refreshes: dict[str, Record] = {}
        self._report: TrainingReport | None = None
        self._read_at = -math.inf

    def report(self, dataset: Dataset) -> TrainingReport:
        """The report, read anew if it is older than a second. For worker threads.

        Raises:
            AnceError: the store does not answer.
        """
        with self._lock:
            if self._report is None or time.monotonic() - self._read_at > CACHE_SECONDS:
                self._report = self._read(dataset)
                self._read_at = time.monotonic()
            return self._report

    def _read(self, dataset: Dataset) -> TrainingReport:
        run = self._run
        self._segments = self._new(run.layout.all_series, ".jsonl", self._segments, _lines)
        self._refreshes = self._new(run.layout.refresh_records, ".json", self._refreshes, json.loads)
        records = [record for key in sorted(self._segments) for record in self._segments[key]]
        refreshes = sorted(self._refreshes.values(), key=lambda record: int(record["step"]))
        last = records[-1] if records else {}
        return TrainingReport(
            run=run.config.run,
            step=last.get("step", 0),
            total_steps=run.config.training.total_steps,
            stage=last.get("stage"),
            series=_series(_thinned(records)),
            gradient_norms=_norms(_thinned([record for record in records if "gradient_norms" in record])),
            versions=tuple(map(_version, refreshes)),
            refresh=self._progress(dataset),
        )

    def _new(self, folder: str, suffix: str, known: dict[str, Any], parse: Any) -> dict[str, Any]:
        """All files of a folder by key, of which those that are known are not read again."""
        keys = [key for key in self._run.store.list(folder) if key.endswith(suffix)]
        return {key: known[key] if key in known else parse(self._run.store.read(key)) for key in keys}

    def _progress(self, dataset: Dataset) -> RefreshProgress | None:
        store, layout = self._run.store, self._run.layout
        started = store.read_pointer(layout.pointer("refresh"))
        published = store.read_pointer(layout.pointer("index"))
        if started is None or (published is not None and published.step >= started.step):
            return None
        done = sum(key.endswith(".npy") for key in store.list(layout.embeddings(started.step)))
        return RefreshProgress(version=started.step, shards=self._shards(dataset, started.step), shards_done=done)

    def _shards(self, dataset: Dataset, step: int) -> int:
        """Shards that the refresh of a step encodes."""
        config = self._run.config
        planned = shards_of(rows_of(dataset, config, step), config.encoding.shard_size)
        return sum(encoder_step(shard.part, step, config) == step for shard in planned)


def _lines(data: bytes) -> list[Record]:
    return [json.loads(line) for line in data.splitlines()]


def _thinned(records: Sequence[Record]) -> Sequence[Record]:
    """At most MAX_POINTS of them, evenly, with the last."""
    stride = math.ceil(len(records) / MAX_POINTS) or 1
    return records[(len(records) - 1) % stride :: stride] if records else ()


def _series(records: Sequence[Record]) -> StepSeries:
    columns = {
        name: _numbers(record.get(name) for record in records)
        for name in ("loss", "learning_rate", "async_gap", "async_gap_seconds")
    }
    return StepSeries(step=tuple(record["step"] for record in records), **columns)


def _norms(records: Sequence[Record]) -> GradientNorms:
    groups = sorted({group for record in records for group in record["gradient_norms"]})
    return GradientNorms(
        step=tuple(record["step"] for record in records),
        groups={group: _numbers(record["gradient_norms"].get(group) for record in records) for group in groups},
    )


def _numbers(values: Iterable[float | None]) -> Numbers:
    """JSON has no NaN."""
    return tuple(value if value is not None and math.isfinite(value) else None for value in values)


def _version(record: Record) -> VersionMetrics:
    return VersionMetrics(
        version=record["step"],
        published_at=record.get("negatives_at"),
        refresh_seconds=record.get("refresh_seconds"),
        dev=record.get("dev") or {},
        overlap=record.get("overlap") or {},
    )
