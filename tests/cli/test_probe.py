"""`ance probe` on a random encoder."""

import json

import numpy as np
import pytest

from ance.cli.probe import COLUMNS, rank_correlation, table
from ance.cli.probe_negatives import ProbedQueries, best_in_batch, draw_queries, negatives_by_kind
from ance.data.dataset import Dataset
from ance.errors import AnceError
from ance.model.bi_encoder import BiEncoder
from ance.negatives.sampling import is_positive
from ance.runtime.artifacts import fetch, publish
from ance.runtime.contracts import Kind, RunConfig
from ance.runtime.layout import RunLayout
from ance.runtime.store import Store
from tests.cli.conftest import Ance, Salad
from tests.system.tiny import config

KINDS = ["random", "in_batch", "hardest_in_batch", "bm25", "ance"]


@pytest.fixture
def probed(salad: Salad, request: pytest.FixtureRequest) -> tuple[str, RunLayout]:
    """A run with one checkpoint, the encoder as it is, at step 20."""
    name = request.node.name[:60].replace("[", "-").rstrip("]")
    values, store, layout = config(salad.encoder, run=name), Store.open(salad.store), RunLayout(name)
    values["model"] |= getattr(request, "param", {})
    store.write(layout.run_yaml, json.dumps(values).encode())
    folder = salad.folder / "checkpoints" / name
    BiEncoder.start(RunConfig.model_validate(values).model).save(folder)
    publish(
        store,
        layout.checkpoint(20),
        folder,
        kind=Kind.CHECKPOINT,
        run_id=name,
        step=20,
        pointer=layout.pointer("checkpoint"),
    )
    return name, layout


def test_every_kind_of_negative_is_measured_and_kept_in_the_run(
    ance: Ance, salad: Salad, probed: tuple[str, RunLayout]
) -> None:
    run, layout = probed
    ended = ance("probe", "--store", salad.store, "--run", run, "--queries", "24", "--json")
    assert ended.status == 0, ended.err
    report = json.loads(ended.out)
    assert (report["run"], report["step"], report["queries"], report["candidates"]) == (run, 20, 24, 20)
    assert list(report["kinds"]) == KINDS
    for values in report["kinds"].values():
        assert values["n"] == 24
        assert values["gradient_norm"] > 0 and values["bound"] > 0 and values["variance"] > 0
        assert 0 < values["gradient_norm_error"] < values["gradient_norm"]
        assert 0 <= values["overlap"] <= 1
    assert report["kinds"]["ance"]["overlap"] == 1, "its negatives are drawn from the top"
    losses = {kind: values["loss"] for kind, values in report["kinds"].items()}
    assert losses["ance"] > losses["random"] and losses["hardest_in_batch"] > losses["in_batch"]
    assert -1 <= report["rank_correlation"] <= 1
    assert json.loads(Store.open(salad.store).read(layout.probe)) == report


@pytest.mark.parametrize(
    "probed",
    [
        {"max_passage_tokens": 5, "max_chunks": 4},
        {"shared": False},
        {"max_passage_tokens": 5, "max_chunks": 2, "shared": False},
    ],
    indirect=True,
    ids=["chunks", "towers", "both"],
)
def test_chunks_and_towers_are_probed_by_their_own_scores(
    ance: Ance, salad: Salad, probed: tuple[str, RunLayout]
) -> None:
    ended = ance("probe", "--store", salad.store, "--run", probed[0], "--queries", "12", "--json")
    assert ended.status == 0, ended.err
    kinds = json.loads(ended.out)["kinds"]
    assert kinds["ance"]["overlap"] == 1
    assert kinds["ance"]["loss"] > kinds["random"]["loss"]
    assert all(0 < values["gradient_norm"] < 1e3 for values in kinds.values())


def test_the_same_seed_gives_the_same_table_and_another_one_another(
    ance: Ance, salad: Salad, probed: tuple[str, RunLayout]
) -> None:
    command = ("probe", "--store", salad.store, "--run", probed[0], "--queries", "8")
    first = ance(*command)
    title, head, *rows = first.out.splitlines()
    assert "checkpoint 20, 8 training queries of salad" in title
    assert [row.split()[0] for row in rows] == KINDS
    assert len({len(row) for row in (head, *rows)}) == 1
    assert ance(*command).out == first.out
    assert ance(*command, "--seed", "1").out != first.out


def test_a_larger_batch_has_harder_negatives(ance: Ance, salad: Salad, probed: tuple[str, RunLayout]) -> None:
    losses = []
    for size in (2, 32):
        ended = ance("probe", "--store", salad.store, "--run", probed[0], "--batch-size", size, "--json")
        assert ended.status == 0, ended.err
        report = json.loads(ended.out)
        assert report["batch_size"] == size
        losses.append(report["kinds"]["hardest_in_batch"]["loss"])
    assert losses[0] < losses[1]


def test_other_depths_are_shown_beside_the_runs_own(ance: Ance, salad: Salad, probed: tuple[str, RunLayout]) -> None:
    command = ("probe", "--store", salad.store, "--run", probed[0], "--queries", "48")
    ended = ance(*command, "--depth", "2", "--depth", "40", "--json")
    assert ended.status == 0, ended.err
    kinds = json.loads(ended.out)["kinds"]
    assert list(kinds) == [*KINDS, "ance_top_2", "ance_top_40"]
    losses = [kinds[kind]["loss"] for kind in ("ance_top_2", "ance", "ance_top_40", "random")]
    assert losses == sorted(losses, reverse=True), "the nearer, the harder; the run has 20 candidates"
    assert kinds["ance_top_2"]["overlap"] == 1 > kinds["ance_top_40"]["overlap"]
    assert "ance_top_40" in ance(*command, "--depth", "40").out
    assert "Invalid value for '--depth'" in ance(*command, "--depth", "0").err


def test_a_checkpoint_that_is_not_there_is_named(ance: Ance, salad: Salad, probed: tuple[str, RunLayout]) -> None:
    ended = ance("probe", "--store", salad.store, "--run", probed[0], "--step", "7")
    assert f"run '{probed[0]}' has no checkpoint of step 7" in ended.error


def test_a_run_without_a_checkpoint_has_nothing_to_probe(ance: Ance, salad: Salad) -> None:
    store, layout = Store.open(salad.store), RunLayout("unprobed")
    store.write(layout.run_yaml, json.dumps(config(salad.encoder, run="unprobed")).encode())
    ended = ance("probe", "--store", salad.store, "--run", "unprobed")
    assert "no checkpoint yet" in ended.error


def test_no_kind_ever_gives_a_query_one_of_its_positives(salad: Salad) -> None:
    store = Store.open(salad.store)
    dataset = Dataset.open(fetch(store, RunLayout.dataset("salad"), salad.folder / "cache"))
    run = RunConfig.model_validate(config(salad.encoder))
    drawn = draw_queries(dataset, 1, 50, rng := np.random.default_rng(0))
    kinds, top = negatives_by_kind(dataset, run, BiEncoder.start(run.model), drawn, 8, rng, "cpu")
    assert list(kinds) == KINDS
    for negatives in (*(rows[:, None] for rows in kinds.values()), top):
        assert not is_positive(negatives, drawn.known).any()
    for kind in ("in_batch", "hardest_in_batch"):
        assert set(kinds[kind]) <= set(drawn.positive_rows)
    assert top.shape == (50, 20)


def test_in_batch_is_the_hardest_of_a_batch_that_is_no_positive() -> None:
    rows = np.arange(4)
    drawn = ProbedQueries(rows, rows + 10, np.array([[10, -1], [11, 12], [12, -1], [13, -1]]))
    queries = np.eye(4, dtype=np.float32)
    # By query: its own positive scores 9, the passage that is hardest for it follows.
    positives = np.array([[9, 5, 3, 1], [7, 9, 2, 8], [1, 9, 9, 2], [2, 6, 1, 9]], np.float32)
    scores = queries @ positives.T
    whole = best_in_batch(scores, drawn, 4, np.random.default_rng(0))
    assert whole.tolist() == [11, 13, 10, 11]
    with pytest.raises(AnceError, match="more --queries"):
        best_in_batch(scores[1:3, 1:3], drawn_part(drawn, slice(1, 3)), 2, np.random.default_rng(0))


def test_a_batch_holds_no_more_queries_than_it_should() -> None:
    rows = np.arange(64)
    drawn = ProbedQueries(rows, rows, rows[:, None])
    scores = np.tile(np.arange(64, dtype=np.float32), (64, 1))
    hardest = best_in_batch(scores, drawn, 8, np.random.default_rng(0))
    assert len(set(hardest)) == 16  # in each of 8 batches the best, and for itself the second best


def drawn_part(drawn: ProbedQueries, part: slice) -> ProbedQueries:
    return ProbedQueries(drawn.rows[part], drawn.positive_rows[part], drawn.known[part])


def test_rank_correlation_is_one_for_the_same_order_and_minus_one_for_the_reverse() -> None:
    values = np.array([0.1, 5.0, 2.0, 3.0])
    assert rank_correlation(values, values**3) == pytest.approx(1)
    assert rank_correlation(values, -values) == pytest.approx(-1)


def test_the_table_has_a_column_for_every_figure() -> None:
    values = dict.fromkeys(COLUMNS, 0.5)
    report = {
        "run": "demo",
        "step": 3,
        "queries": 8,
        "dataset": "salad",
        "rank_correlation": 0.5,
        "kinds": {"ance": values},
    }
    assert table(report).count("0.5") == len(COLUMNS) + 1
