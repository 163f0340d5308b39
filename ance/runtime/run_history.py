"""What a run leaves in the store about itself, for reports: its steps and its refreshes."""

import json
from typing import Any

from ance.errors import AnceError
from ance.runtime.layout import RunLayout
from ance.runtime.store import Store


def step_records(store: Store, layout: RunLayout) -> list[dict[str, Any]]:
    """The trainer's record of every step in order, as `services/trainer/loop.py` writes them."""
    return [json.loads(line) for key in store.list(layout.all_series) for line in store.read(key).splitlines()]


def refresh_records(store: Store, layout: RunLayout) -> list[dict[str, Any]]:
    """The indexer's record of every refresh by step, as `services/indexer/refresh.py` writes them."""
    records: list[dict[str, Any]] = [json.loads(store.read(key)) for key in store.list(layout.refresh_records)]
    return sorted(records, key=lambda record: int(record["step"]))


def dev_history(store: Store, layout: RunLayout, measure: str) -> list[tuple[int, float]]:
    """A measure of the dev split by version, for every version that it was measured for: (step, value) by step."""
    records = refresh_records(store, layout)
    return [(int(record["step"]), float(record["dev"][measure])) for record in records if measure in record["dev"]]


def best_step(store: Store, layout: RunLayout) -> int:
    """Step of the version that is best on the dev split so far.

    Raises:
        AnceError: no version has been measured.
    """
    best = store.read_pointer(layout.pointer("best"))
    if best is None:
        raise AnceError(
            f"run '{layout.run}' has no version that was measured on a dev split yet: wait for its first refresh, "
            "or name a version"
        )
    return best.step
