"""`ance up` on a tiny run: every process real, one of each killed on the way."""

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from ir_measures import R

from ance.cli.run_scores import evaluate_splits
from ance.cli.stack import free_port
from ance.data.dataset import Dataset
from ance.model.encoding import TextEncoder
from ance.runtime.artifacts import fetch, read_manifest
from ance.runtime.contracts import Kind, Part
from ance.runtime.layout import RunLayout, manifest_of
from ance.runtime.store import Store
from tests.system.conftest import Prepared, start_ance
from tests.system.tiny import DEV, PASSAGES, TRAIN, config, write_config

pytestmark = pytest.mark.timeout(240)

VICTIMS = ("inferencer-0", "indexer", "redis", "trainer")
MODULES = {
    "inferencer-0": "services.inferencer",
    "indexer": "services.indexer",
    "redis": "redis-server",
    "trainer": "services.trainer",
}


def children(parent: int) -> dict[str, int]:
    """Process ids of the stack's processes by name."""
    found = {}
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        command = Path(f"/proc/{pid}/cmdline").read_text()
        found |= {name: int(pid) for name, module in MODULES.items() if module in command}
    return found


def records(store: Store, layout: RunLayout) -> list[dict[str, object]]:
    return [json.loads(line) for key in sorted(store.list(layout.all_series)) for line in store.read(key).splitlines()]


def assert_result(prepared: Prepared, run: str) -> None:
    """The run ended with what an undisturbed one ends with."""
    store, layout = Store.open(prepared.store), RunLayout(run)
    final = store.read_pointer(layout.pointer("checkpoint"))
    index = store.read_pointer(layout.pointer("index"))
    assert final is not None and index is not None
    assert final.final and index.final and final.step == index.step == 80

    # Each training step was made once, in order, whatever was repeated after a crash.
    assert [record["step"] for record in records(store, layout)] == list(range(1, 81))

    # Every shard of the last pass is listed once, and holds what its checkpoint encodes.
    embeddings = read_manifest(store, manifest_of(layout.embeddings(80)))
    shards = {entry.path for entry in embeddings.files}
    assert len(shards) == len(embeddings.files) == 3 + 1 + 6
    dataset = Dataset.open(fetch(store, layout.dataset("salad"), prepared.folder))
    encoder = TextEncoder.load(fetch(store, final, prepared.folder))
    expected = encoder.encode_rows(dataset.passages.tokens, 0, PASSAGES, 16)
    folder = fetch(store, layout.embeddings(80), prepared.folder)
    found = np.concatenate([np.load(folder / f"{Part.PASSAGES}/{shard}.npy") for shard in range(6)])
    np.testing.assert_allclose(found, expected, atol=1e-5)

    # Negatives are the top of that ranking without the positive, which is passage q for query q.
    negatives = fetch(store, layout.version(Kind.NEGATIVES, 80), prepared.folder)
    candidates = np.load(negatives / "candidates.npy")
    sampled = np.load(negatives / "negatives.npy")
    queries = encoder.encode_rows(dataset.queries("train").tokens, 0, TRAIN, 8)
    scores = queries @ expected.T
    scores[np.arange(TRAIN), np.arange(TRAIN)] = -np.inf
    np.testing.assert_array_equal(candidates[:, 0], scores.argmax(1))
    assert all(set(row) <= set(allowed) for row, allowed in zip(sampled, candidates, strict=True))
    assert candidates.shape == (TRAIN, 20)

    recorded = json.loads(store.read(layout.refresh_record(80)))
    assert recorded["rows"] == {"train_queries": TRAIN, "dev_queries": DEV, "passages": PASSAGES}


def test_a_run_trains_refreshes_and_serves_while_every_process_is_killed_once(
    prepared: Prepared, tmp_path: Path
) -> None:
    port = free_port()
    settings = write_config(tmp_path / "run.yaml", config(prepared.encoder, run="killed"))
    log = tmp_path / "up.log"
    store, layout = Store.open(prepared.store), RunLayout("killed")
    up = start_ance(
        ["up", "--config", settings, "--store", prepared.store, "--folder", tmp_path / "local", "--port", str(port)],
        log,
    )
    try:
        for victim in VICTIMS:
            await_refreshes(store, layout, 1 + VICTIMS.index(victim), log)
            os.kill(children(up.pid)[victim], signal.SIGKILL)
        await_final(store, layout, log)
        assert_result(prepared, "killed")
        assert sum("SIGKILL" in event for event in log.read_text().splitlines()) == len(VICTIMS)
        assert served_step(port) == 80
    finally:
        up.send_signal(signal.SIGINT)
        assert up.wait(30) == 0, log.read_text()


def test_several_trainers_share_a_run(prepared: Prepared, tmp_path: Path) -> None:
    values = config(prepared.encoder, run="shared")
    values["training"] |= {name: values["training"][name] | {"steps": 5} for name in ("warmup", "ance")}
    settings, log = write_config(tmp_path / "run.yaml", values), tmp_path / "up.log"
    options = ["--store", prepared.store, "--folder", tmp_path / "local", "--port", str(free_port()), "--exit"]
    up = start_ance(["up", "--config", settings, *options, "--trainers", "2"], log)
    assert up.wait(180) == 0, log.read_text()
    store, layout = Store.open(prepared.store), RunLayout("shared")
    assert [record["step"] for record in records(store, layout)] == list(range(1, 11))
    said = [json.loads(line) for line in (tmp_path / "local" / "logs" / "trainer.log").read_text().splitlines()]
    assert {line.get("rank") for line in said} >= {0, 1}


def test_the_test_split_is_scored_for_every_system(prepared: Prepared, finished_run: str, tmp_path: Path) -> None:
    (report,) = evaluate_splits(prepared.store, finished_run, ["test"], trec=tmp_path / "runs")
    assert set(report["systems"]) == {"bm25", "start", "warmup", "ance"}
    assert report["systems"]["bm25"]["RR@10"] > 0.5  # the queries are words of their passage
    assert all(0 <= values["R@1000"] <= 1 for values in report["systems"].values())
    judged = list(ir_measures.read_trec_qrels(str(tmp_path / "runs" / "test.qrels")))
    for system, values in report["systems"].items():
        run = ir_measures.read_trec_run(str(tmp_path / "runs" / f"{system}.test.run"))
        [(_, recall)] = ir_measures.calc_aggregate([R @ 1000], judged, run).items()
        assert recall == pytest.approx(values["R@1000"])


def await_refreshes(store: Store, layout: RunLayout, number: int, log: Path) -> None:
    await_that(lambda: len(store.list(layout.refresh_records)) >= number, log)


def await_final(store: Store, layout: RunLayout, log: Path) -> None:
    def final() -> bool:
        index = store.read_pointer(layout.pointer("index"))
        return index is not None and index.final and store.exists(manifest_of(layout.embeddings(80)))

    await_that(final, log)


def await_that(condition: Callable[[], bool], log: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def served_step(port: int) -> int:
    """Version that the search service answers from, once it has had a moment to swap."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/search",
        data=json.dumps({"query": "ban bel bim", "top_k": 3}).encode(),
        headers={"content-type": "application/json"},
    )
    deadline, version = time.monotonic() + 20, -1
    while version != 80 and time.monotonic() < deadline:
        with urllib.request.urlopen(request, timeout=10) as response:
            version = json.load(response)["index"]["version"]
        time.sleep(0.2)
    return version
