"""Names of data sets."""

import re


def dataset_name(text: str) -> str:
    """The nearest name that may be a folder of the store and a key in a run's configuration."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:63] or "dataset"
