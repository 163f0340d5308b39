"""`ance runs`."""

import time
from pathlib import Path

import pytest

from ance.cli.create_run import create_run
from ance.runtime.artifacts import publish
from ance.runtime.contracts import Kind
from ance.runtime.holds import RENEW_SECONDS, HeldVersion, Hold, VersionHold
from ance.runtime.layout import RunLayout
from ance.runtime.store import Store
from tests.cli.conftest import Ance, Salad


def test_a_run_is_created_from_a_file_and_creating_it_again_changes_nothing(
    ance: Ance, salad: Salad, tmp_path: Path
) -> None:
    settings = salad.config(tmp_path / "run.yaml", run="created")
    for _ in range(2):
        ended = ance("runs", "create", "--config", settings, "--store", salad.store)
        assert (ended.status, ended.out) == (0, f"runs/created is in {salad.store}, with this configuration\n")
    assert Store.open(salad.store).read(RunLayout("created").run_yaml) == settings.read_bytes()


def test_a_run_with_another_configuration_is_refused(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    ance("runs", "create", "--config", salad.config(tmp_path / "one.yaml", run="taken"), "--store", salad.store)
    other = salad.config(tmp_path / "other.yaml", run="taken", encoding={"shard_size": 7})
    error = ance("runs", "create", "--config", other, "--store", salad.store).error
    assert error.startswith(f"{other}: run 'taken' exists")


def test_a_data_set_that_is_not_prepared_is_said(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    settings = salad.config(tmp_path / "run.yaml", dataset="nothing")
    assert "ance prepare" in ance("runs", "create", "--config", settings, "--store", salad.store).error


@pytest.fixture
def aged(salad: Salad, tmp_path: Path) -> RunLayout:
    """A run that keeps one version of each kind, with three checkpoints, one of them held and one not needed."""
    name = f"aged-{tmp_path.name[-20:].replace('_', '-')}"
    settings = salad.config(tmp_path / "run.yaml", run=name, retention={"keep": 1})
    store, layout = Store.open(salad.store), RunLayout(name)
    create_run(store, settings.read_text(), "run.yaml")
    for step in (40, 50, 60):
        (tmp_path / "staging").mkdir()
        (tmp_path / "staging" / "model.safetensors").write_bytes(b"w" * 200_000)
        publish(
            store,
            layout.checkpoint(step),
            tmp_path / "staging",
            kind=Kind.CHECKPOINT,
            step=step,
            pointer=layout.pointer("checkpoint"),
        )
    VersionHold(store, layout, "search-0").hold([(Kind.CHECKPOINT, 40)])
    return layout


def test_runs_are_listed_with_their_newest_versions(ance: Ance, salad: Salad, aged: RunLayout) -> None:
    lines = ance("runs", "list", "--store", salad.store).out.splitlines()
    assert f"{aged.run}  checkpoint 60" in lines


def test_a_run_is_shown_with_why_its_versions_are_kept(ance: Ance, salad: Salad, aged: RunLayout) -> None:
    assert ance("runs", "show", aged.run, "--store", salad.store).out.splitlines() == [
        f"{aged.run}  checkpoint 60",
        "  checkpoint 40  0.2 MB  held by search-0",
        "  checkpoint 50  0.2 MB  not needed",
        "  checkpoint 60  0.2 MB",
    ]


def test_gc_marks_first_and_deletes_later(
    ance: Ance, salad: Salad, aged: RunLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ance.runtime.retention.GRACE_SECONDS", 0.0)
    arguments = ("runs", "gc", aged.run, "--store", salad.store)
    assert ance(*arguments, "--dry-run").out == "would mark  checkpoint 50  0.2 MB\n"
    assert ance(*arguments).out == "mark  checkpoint 50  0.2 MB\n"
    assert ance(*arguments, "--dry-run").out == "would delete  checkpoint 50  0.2 MB\n"
    assert ance(*arguments).out == "delete  checkpoint 50  0.2 MB\n"
    assert ance(*arguments).out == "nothing to delete\n"
    assert Store.open(salad.store).folders(aged.versions(Kind.CHECKPOINT)) == ["40", "60"]


@pytest.mark.parametrize("hours", [-6, 6], ids=["behind", "ahead"])
@pytest.mark.parametrize("lives", [True, False])
def test_gc_looks_twice_at_a_holder_whose_clock_is_wrong(
    ance: Ance, salad: Salad, aged: RunLayout, monkeypatch: pytest.MonkeyPatch, hours: int, lives: bool
) -> None:
    store = Store.open(salad.store)
    hold = Hold(
        holder="search-0",
        versions=(HeldVersion(kind=Kind.CHECKPOINT, step=40),),
        renewed_at=time.time() + hours * 3600,
    )
    store.write(aged.hold("search-0"), hold.model_dump_json().encode())
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if lives:
            renewed = hold.model_copy(update={"renewed_at": hold.renewed_at + RENEW_SECONDS})
            store.write(aged.hold("search-0"), renewed.model_dump_json().encode())

    monkeypatch.setattr(time, "sleep", sleep)
    ended = ance("runs", "gc", aged.run, "--store", salad.store)
    assert ended.err == "by the clocks search-0 left long ago: looking again in 225 s\n"
    assert len(waited) == 1 and waited[0] > RENEW_SECONDS
    assert ("mark  checkpoint 40" in ended.out) is not lives
    assert store.exists(aged.hold("search-0")) is lives


def test_gc_waits_for_nobody_whose_clock_is_right(
    ance: Ance, salad: Salad, aged: RunLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"waited {seconds} s"))
    ended = ance("runs", "gc", aged.run, "--store", salad.store)
    assert (ended.status, ended.err) == (0, "")


def test_a_run_that_is_not_there_is_said(ance: Ance, salad: Salad) -> None:
    assert "no such run" in ance("runs", "show", "nobody", "--store", salad.store).error
