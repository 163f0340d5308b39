"""Training of passages in chunks and of two towers, from start to end."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis

from ance.errors import AnceError
from ance.runtime.shutdown import Shutdown
from tests.services.conftest import NewRun
from tests.services.trainer.process import TrainerProcess, interrupt, same, series, weights
from tests.system.tiny import write_encoder

STAGE = {"steps": 3, "learning_rate": 1e-3, "negatives": "random"}
TRAINING: dict[str, object] = {"checkpoint_steps": 2, "max_async_gap": 0, "warmup": STAGE, "ance": STAGE}
CHUNKS: dict[str, object] = {"max_passage_tokens": 5, "max_chunks": 4}


def test_two_towers_in_chunks_learn_and_resume_bit_for_bit(new_run: NewRun, client: Redis, shutdown: Shutdown) -> None:
    model = CHUNKS | {"shared": False, "projection_dim": 8}
    straight, interrupted = new_run(training=TRAINING, model=model), new_run(training=TRAINING, model=model)
    TrainerProcess(straight, client, shutdown).run()
    interrupt(interrupted, client, 2)
    TrainerProcess(interrupted, client, shutdown).run()
    assert same(weights(interrupted, 6), weights(straight, 6))

    start, end = weights(straight, 0), weights(straight, 6)
    queries = {name: weight for name, weight in end.items() if name.startswith("query_tower.")}
    passages = {f"query_tower.{name}": weight for name, weight in end.items() if name not in queries}
    assert queries.keys() == passages.keys()
    assert not same(queries, passages), "both began alike, and learned from other texts"
    assert all(not start[name].equal(end[name]) for name in ("head.linear.weight", "query_tower.head.linear.weight"))
    norms = series(straight)[-1]["gradient_norms"]
    assert {name.split(".")[0] for name in norms} == {"query", "passage", "global"}


def test_passages_that_the_data_set_has_cut_are_not_read_in_chunks_in_silence(
    new_run: NewRun, client: Redis, shutdown: Shutdown, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(training=TRAINING, model=CHUNKS)
    monkeypatch.setattr(run.dataset, "meta", run.dataset.meta.model_copy(update={"max_tokens": 8}))
    with pytest.raises(AnceError, match=r"cut its passages at 8 tokens, but model\.max_chunks 4 reads 12: prepare"):
        TrainerProcess(run, client, shutdown).run()


def test_the_tower_of_queries_must_have_the_tokenizer_of_the_data_set(
    new_run: NewRun, client: Redis, shutdown: Shutdown, tmp_path: Path
) -> None:
    other = write_encoder(tmp_path / "other", ["ban", "bel"])
    run = new_run(training=TRAINING, model={"shared": False, "query_name_or_path": str(other)})
    with pytest.raises(AnceError, match=r"another tokenizer than that of model\.query_name_or_path"):
        TrainerProcess(run, client, shutdown).run()
