"""`ance prepare` publishes a data set, says what is in it, and never replaces one."""

import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from ance.cli.counts import Counts
from ance.data.dataset import Dataset
from ance.runtime.artifacts import fetch, read_manifest
from ance.runtime.layout import manifest_of
from ance.runtime.store import Store
from tests.cli.conftest import Ance, Salad
from tests.system.tiny import DEV, PASSAGES, TEST, TRAIN, write_encoder


def test_a_beir_folder_becomes_a_data_set_of_the_store(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    store = f"file://{tmp_path / 'store'}"
    ended = ance("prepare", "--dataset", f"beir:{salad.beir}", "--store", store, "--model", salad.encoder)
    assert ended.status == 0
    first, *splits = ended.out.splitlines()
    assert first.startswith(f"datasets/beir: {PASSAGES} passages, prepared in ")
    assert splits == [
        f"  {split}: {queries} queries, {queries} judgements"
        for split, queries in (("train", TRAIN), ("dev", DEV), ("test", TEST))
    ]
    dataset = Dataset.open(fetch(Store.open(store), "datasets/beir", tmp_path / "cache"))
    assert len(dataset.passages) == PASSAGES and set(dataset.splits) == {"train", "dev", "test"}
    assert set(read_manifest(Store.open(store), manifest_of("datasets/beir")).stats["splits"]) == set(dataset.splits)
    assert [path.name for path in (tmp_path / "store" / "datasets").iterdir()] == ["beir"]


def test_progress_in_a_pipe_is_one_line_for_each_part(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    ended = ance("prepare", "--dataset", f"beir:{salad.beir}", "--store", tmp_path, "--model", salad.encoder)
    assert "\r" not in ended.err and "\x1b" not in ended.err
    counted = [" ".join(row.split()[:-1]) for row in ended.err.splitlines()]  # the last word is the time
    assert counted == [
        f"passages {PASSAGES}",
        f"train queries {TRAIN}",
        f"dev queries {DEV}",
        f"test queries {TEST}",
    ]


def test_a_name_that_is_taken_is_refused_and_what_is_there_stays(ance: Ance, salad: Salad) -> None:
    source = ("--dataset", f"beir:{salad.beir}", "--model", salad.encoder)
    before = Store.open(salad.store).read("datasets/salad/manifest.json")
    error = ance("prepare", *source, "--store", salad.store, "--name", "salad").error
    assert error.startswith(f"{salad.store}/datasets/salad exists already; choose another --name")
    assert Store.open(salad.store).read("datasets/salad/manifest.json") == before


def spoiled(salad: Salad, folder: Path) -> Path:
    """The data set with an empty passage and a judgement of a passage that is not there."""
    shutil.copytree(salad.beir, folder)
    with (folder / "corpus.jsonl").open("a") as corpus:
        corpus.write(json.dumps({"_id": "empty", "title": "", "text": " "}) + "\n")
    with (folder / "qrels" / "train.tsv").open("a") as qrels:
        qrels.write("q0\tnowhere\t1\n")
    return folder


def test_a_bad_record_stops_it_and_leaves_nothing_behind(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    source = ("--dataset", f"beir:{spoiled(salad, tmp_path / 'beir')}", "--model", salad.encoder)
    ended = ance("prepare", *source, "--store", tmp_path / "store")
    assert ended.status == 2
    assert f"corpus.jsonl:{PASSAGES + 1}" in ended.err and "--skip-invalid" in ended.err
    assert list((tmp_path / "store" / "datasets").iterdir()) == []


def test_left_out_records_are_counted_by_reason_with_the_first_place(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    source = ("--dataset", f"beir:{spoiled(salad, tmp_path / 'beir')}", "--model", salad.encoder)
    ended = ance("prepare", *source, "--store", tmp_path / "store", "--skip-invalid")
    assert ended.status == 0
    skipped = [row for row in ended.out.splitlines() if row.startswith("  skipped 1: ")]
    assert len(skipped) == 2
    assert f"corpus.jsonl:{PASSAGES + 1}" in skipped[0] and f"train.tsv:{TRAIN + 2}" in skipped[1]


def test_a_name_that_is_no_name_is_refused(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    source = ("--dataset", f"beir:{salad.beir}", "--model", salad.encoder)
    assert "'a/b'" in ance("prepare", *source, "--store", tmp_path, "--name", "a/b").error


def test_a_model_that_is_not_there_is_named(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    source = ("--dataset", f"beir:{salad.beir}", "--model", tmp_path / "nothing")
    assert str(tmp_path / "nothing") in ance("prepare", *source, "--store", tmp_path).error


def test_counts_on_a_terminal_are_drawn_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ance.cli.counts.Console", lambda stderr: Console(stderr=stderr, force_terminal=True))
    with Counts() as counts:
        counts.show("passages", 1_000)
        counts.show("passages", 2_000)
        counts.show("queries", 10)
    shown = capsys.readouterr()
    assert shown.out == "" and "passages" in shown.err and "2000" in shown.err and "\x1b[" in shown.err


def test_if_missing_prepares_once_and_then_says_that_it_is_there(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    arguments = ("prepare", "--dataset", f"beir:{salad.beir}", "--store", tmp_path, "--model", salad.encoder)
    assert "passages, prepared in" in ance(*arguments, "--name", "once", "--if-missing").out
    before = Store.open(str(tmp_path)).read("datasets/once/manifest.json")
    again = ance(*arguments, "--name", "once", "--if-missing")
    assert (again.status, again.err) == (0, "")
    assert again.out == f"nothing to do: {tmp_path} has the data set once, made in the same way\n"
    assert Store.open(str(tmp_path)).read("datasets/once/manifest.json") == before


def test_if_missing_refuses_a_data_set_that_was_made_in_another_way(ance: Ance, salad: Salad, tmp_path: Path) -> None:
    arguments = ("prepare", "--dataset", f"beir:{salad.beir}", "--store", salad.store, "--name", "salad")
    other = write_encoder(tmp_path / "other", words=["salt", "pepper"])
    error = ance(*arguments, "--model", other, "--if-missing").error
    assert error.startswith(f"{salad.store}/datasets/salad exists already, made with tokenizer_sha256")
    error = ance(*arguments, "--model", salad.encoder, "--max-tokens", "7", "--if-missing").error
    assert "made with max_tokens 512 instead of 7; choose another --name" in error
