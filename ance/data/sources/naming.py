"""Names of data sets and of their splits."""

import re
from collections.abc import Iterable

USUAL_SPLITS = ("train", "dev", "test")


def dataset_name(text: str) -> str:
    """The nearest name that may be a folder of the store and a key in a run's configuration."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:63] or "dataset"


def in_usual_order(splits: Iterable[str]) -> list[str]:
    """Splits in the order train, dev, test; any others after them by name."""
    return sorted(splits, key=lambda split: (_place(split), split))


def _place(split: str) -> int:
    return USUAL_SPLITS.index(split) if split in USUAL_SPLITS else len(USUAL_SPLITS)
