"""What a run leaves in the store about itself, for reports: its steps and its refreshes."""

import json
from typing import Any

from ance.runtime.layout import RunLayout
from ance.runtime.store import Store


def step_records(store: Store, layout: RunLayout) -> list[dict[str, Any]]:
    """The trainer's record of every step in order, as `services/trainer/loop.py` writes them."""
    return [json.loads(line) for key in store.list(layout.all_series) for line in store.read(key).splitlines()]


def refresh_records(store: Store, layout: RunLayout) -> list[dict[str, Any]]:
    """The indexer's record of every refresh by step, as `services/indexer/refresh.py` writes them."""
    records: list[dict[str, Any]] = [json.loads(store.read(key)) for key in store.list(layout.refresh_records)]
    return sorted(records, key=lambda record: int(record["step"]))
