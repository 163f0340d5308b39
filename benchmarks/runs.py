"""A run in a temporary folder, as `ance prepare` and `ance runs create` make one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from ance.cli.models import resolve_model
from ance.cli.prepare import prepare_dataset
from ance.runtime.contracts import RunConfig
from ance.runtime.layout import RunLayout
from ance.runtime.store import Store


def load_config(path: Path, changes: Mapping[str, str]) -> RunConfig:
    """The configuration with some dotted keys changed."""
    values = with_changes(yaml.safe_load(path.read_text()), changes)
    values["model"]["name_or_path"] = resolve_model(values["model"]["name_or_path"])
    return RunConfig.parse(yaml.safe_dump(values), str(path))


def with_changes(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a configuration with some dotted keys changed. What is text among the new values is YAML."""
    changed: dict[str, Any] = deepcopy(dict(values))
    for key, value in changes.items():
        section = changed
        *parents, last = key.split(".")
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = yaml.safe_load(value) if isinstance(value, str) else value
    return changed


@contextmanager
def created_run(config: RunConfig, dataset: str) -> Iterator[tuple[Store, Path]]:
    """A store that holds the data set and the run, and the folder that it is in."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        url = f"file://{folder / 'store'}"
        prepare_dataset(dataset, url, config.model.name_or_path, name=config.dataset)
        store = Store.open(url)
        store.write_new(RunLayout(config.run).run_yaml, yaml.safe_dump(config.model_dump(mode="json")).encode())
        yield store, folder


def offline() -> None:
    """Models are folders here: no library need ask a hub."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
