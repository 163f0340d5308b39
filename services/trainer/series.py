"""The run's time series, one record a step, kept in the store for reports."""

import json
from typing import Any

from ance.runtime.layout import RunLayout
from ance.runtime.store import Store


class Series:
    """Collects records and writes them with each checkpoint.

    A segment covers the steps since the checkpoint before and is written just before its own checkpoint, so a run
    that resumes misses no step. It repeats none because it first deletes what its checkpoint does not cover.
    """

    def __init__(self, store: Store, layout: RunLayout) -> None:
        self._store = store
        self._layout = layout
        self._records: list[dict[str, Any]] = []

    def resume(self, step: int) -> None:
        """Begin after `step`: delete segments of later steps, whose checkpoint was never published."""
        covered = self._layout.series(step)
        for segment in self._store.list(self._layout.all_series):
            if segment > covered:  # names sort by step
                self._store.delete(segment)

    def add(self, record: dict[str, Any]) -> None:
        """Remember the record of one step."""
        self._records.append(record)

    def flush(self, step: int) -> None:
        """Write the segment that ends with `step`."""
        if self._records:
            lines = "".join(json.dumps(record) + "\n" for record in self._records)
            self._store.write(self._layout.series(step), lines.encode())
            self._records.clear()
