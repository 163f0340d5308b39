"""The ranks of an ADORE stage search one version of the index, each for its part of a batch, and share the ranking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ance.retrieval.index import IndexBuilder, PassageIndex
from ance.runtime.artifacts import publish
from ance.runtime.contracts import Kind
from ance.runtime.holds import VersionHold
from ance.runtime.layout import RunLayout
from ance.runtime.metrics import TrainerMetrics
from ance.runtime.settings import load
from ance.runtime.store import Store
from ance.training.data_parallel import ALONE
from ance.training.fixed_passages import FixedPassages
from services.trainer.live_index import INDEX, LiveIndex, LiveIndexes
from services.trainer.ranks import Place, Ranks, join
from tests.ranks import together
from tests.services.conftest import NewRun

DIM, SIZE, DEPTH = 8, 40, 5
ROWS = np.array([7, 3, 30, 12])


def vectors(seed: int, count: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)


def live_index(folder: Path, *, without: int = 0) -> LiveIndex:
    """An index of SIZE passages without the first few: what an approximate one may miss."""
    builder, passages = IndexBuilder("Flat", DIM, SIZE, {}), vectors(0, SIZE)
    builder.add(passages[without:], np.arange(without, SIZE))
    folder.mkdir()
    builder.finish(folder)
    return LiveIndex(PassageIndex.open(folder), FixedPassages([passages]))


def publish_index(store: Store, layout: RunLayout, step: int, folder: Path) -> None:
    folder.mkdir()
    (folder / "index").touch()
    pointer = layout.pointer("index")
    publish(store, layout.index(step), folder, kind=Kind.INDEX, run_id=layout.run, step=step, pointer=pointer)


def on_each_rank(url: str, run: str, folder: Path) -> dict[str, Any]:
    place, store, layout = load(Place), Store.open(url), RunLayout(run)
    asked: list[list[int]] = []

    def query_vectors(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        asked.append(rows.tolist())
        return vectors(1, SIZE)[rows]

    with join(place, "cpu", 30.0, stop=lambda: False) as ranks:
        hold = VersionHold(store, layout, f"rank-{place.rank}")
        indexes = LiveIndexes(store, layout, ranks, hold, lambda: None, folder, TrainerMetrics())  # type: ignore[arg-type, return-value]
        if place.rank == 1:
            ranks.told(INDEX, stop=lambda: False)
            publish_index(store, layout, 4, folder / "newer")
        ref = indexes.wait_from(0, stop=lambda: False)
        assert ref is not None
        live = live_index(folder / f"index{place.rank}", without=8 * place.rank)
        ids, scores = live.ranked_by(query_vectors, ranks.parallel)(ROWS, DEPTH)
        ranks.exchange([0])  # the board goes with rank 0
    return {"version": ref.step, "asked": asked, "ids": ids.tolist(), "scores": scores.tolist()}


def test_all_take_the_version_that_rank_0_has_chosen_and_get_one_ranking_of_the_whole_batch(
    new_run: NewRun, tmp_path: Path
) -> None:
    run = new_run()
    publish_index(run.store, run.layout, 0, tmp_path / "first")
    first, second = together(on_each_rank, run.store.url, run.config.run, tmp_path)
    newest = run.store.read_pointer(run.layout.pointer("index"))
    assert newest is not None and newest.step == 4
    assert first["version"] == second["version"] == 0
    assert [first["asked"], second["asked"]] == [[ROWS[:2].tolist()], [ROWS[2:].tolist()]]
    assert first["ids"] == second["ids"] and first["scores"] == second["scores"]
    # Each half is what its rank has found, in whichever index it has.
    for half, without in ((slice(0, 2), 0), (slice(2, 4), 8)):
        alone = live_index(tmp_path / f"alone{without}", without=without)
        ids, _ = alone.ranked_by(lambda rows: vectors(1, SIZE)[rows], ALONE)(ROWS, DEPTH)
        assert first["ids"][half] == ids.tolist()[half]


def test_the_wait_for_rank_0_ends_with_the_wish_to_stop(new_run: NewRun, tmp_path: Path) -> None:
    run = new_run()
    publish_index(run.store, run.layout, 0, tmp_path / "first")
    hold, metrics = VersionHold(run.store, run.layout, "test"), TrainerMetrics()
    follower = Ranks(Place(rank=1, world_size=2))
    indexes = LiveIndexes(run.store, run.layout, follower, hold, lambda: None, run.cache, metrics)  # type: ignore[arg-type, return-value]
    assert indexes.wait_from(0, stop=lambda: True) is None
    assert metrics.registry.get_sample_value("ance_trainer_waiting") == 0
