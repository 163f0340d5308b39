"""A run is created once, and continued only with the configuration it has."""

from pathlib import Path

import pytest
import yaml

from ance.cli.create_run import create_run, resolve
from ance.errors import AnceError
from ance.runtime.layout import RunLayout
from ance.runtime.store import Store
from tests.cli.conftest import Salad
from tests.system.tiny import config


@pytest.fixture
def store(salad: Salad) -> Store:
    return Store.open(salad.store)


def test_the_configuration_is_stored_verbatim(salad: Salad, store: Store) -> None:
    text = "# a comment\n" + yaml.safe_dump(config(salad.encoder, run="verbatim"))
    assert create_run(store, text, "run.yaml").run == "verbatim"
    assert store.read(RunLayout("verbatim").run_yaml).decode() == text


def test_the_same_configuration_continues_the_run_whatever_its_comments(salad: Salad, store: Store) -> None:
    text = yaml.safe_dump(config(salad.encoder, run="again"))
    first = create_run(store, text, "run.yaml")
    assert create_run(store, f"# new comment\n{text}", "run.yaml") == first
    assert store.read(RunLayout("again").run_yaml).decode() == text


def test_another_configuration_under_the_same_name_is_refused(salad: Salad, store: Store) -> None:
    create_run(store, yaml.safe_dump(config(salad.encoder, run="other")), "run.yaml")
    changed = yaml.safe_dump(config(salad.encoder, run="other", encoding={"shard_size": 7}))
    with pytest.raises(AnceError, match=r"run\.yaml: run 'other' exists .* with another configuration"):
        create_run(store, changed, "run.yaml")


def test_the_name_minilm_becomes_the_folder_that_the_services_can_open(salad: Salad) -> None:
    text = yaml.safe_dump(config(Path("minilm")))
    resolved, run = resolve(text, "run.yaml")
    assert Path(run.model.name_or_path).is_dir()
    assert yaml.safe_load(resolved)["model"]["name_or_path"] == run.model.name_or_path
