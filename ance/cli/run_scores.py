"""All systems of a run on some splits of its data set: what `ance eval`, `report` and `reproduce` print."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ance.errors import AnceError
from ance.evaluation.measures import BM25

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ance.data.dataset import Dataset
    from ance.evaluation.ranking import Ranking
    from ance.model.cross_encoder import CrossEncoder
    from ance.runtime.contracts import RunConfig
    from ance.runtime.layout import RunLayout
    from ance.runtime.store import Store

    Rankings = dict[str, dict[str, Ranking]]
    """Split -> system -> ranking."""

RERANKED = f"{BM25}+rerank"


class Candidates(StrEnum):
    """What models re-rank besides the whole corpus."""

    BM25 = "bm25"
    """BM25's first passages, as many as are ranked."""
    GIVEN = "given"
    """Those that the data set came with, such as MS MARCO's top 1000."""


class _Run(NamedTuple):
    """What is scored."""

    store: "Store"
    layout: "RunLayout"
    config: "RunConfig"
    dataset: "Dataset"
    best: bool
    """Whether `ance` is the version that is best on the dev split, and not the newest checkpoint."""
    device: str
    """Torch device that encodes."""


def evaluate_splits(
    store_url: str,
    run: str,
    splits: Sequence[str],
    *,
    trec: Path | None = None,
    rerank_depth: int = 0,
    candidates: Candidates | None = None,
    against: str | None = None,
    measures: Sequence[str] = (),
    best: bool = False,
    systems: Collection[str] = (),
    threads: int | None = None,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Measure every system of a run on some splits. The corpus is encoded once a model.

    Args:
        store_url: holds the run.
        run: its id.
        splits: of the run's data set.
        trec: folder for a TREC run of each system, and the qrels.
        rerank_depth: passages of BM25 that the run's reranker ranks again (0: it is left out).
        candidates: what each model also re-ranks, besides ranking the whole corpus.
        against: the system that each other one is compared with.
        measures: besides those of `ance.evaluation.scores`, such as `RR@100`, or `RR(rel=2)@10` where passages of
            grade 1 do not count.
        best: let ance be the version that is best on the dev split, in place of the run's newest checkpoint.
        systems: score only these (empty: all).
        threads: CPU threads (None: all).
        device: torch device that encodes and re-ranks, e.g. `cuda`.

    Returns:
        For each split {"dataset", "split", "queries", "left_out", "systems": {name: {measure: value}}} with the systems
        bm25, start, warmup and ance; of the queries, `left_out` have no relevant passage, and count for no measure of
        judgements; ance is the run's newest checkpoint, and a run without warm-up steps has no warmup.
        With `rerank_depth` also bm25+rerank, with `candidates` also e.g. bm25+ance. The measures are those of
        `ance.evaluation.scores`. With `against` also
        {"against": {"system", "compared": {name: {measure: {"difference", "p", ...}}}}}.

    Raises:
        AnceError: no such run, data set, split, measure or system to compare with, or the run has no checkpoint or no
            reranker yet, or the data set came with no candidates.
    """
    from ance.data.dataset import Dataset
    from ance.evaluation.metrics import parse_measure
    from ance.evaluation.trec import write_split
    from ance.runtime.artifacts import fetch
    from ance.runtime.layout import RunLayout
    from ance.runtime.process import limit_threads
    from ance.runtime.run import read_config
    from ance.runtime.settings import DEFAULT_CACHE
    from ance.runtime.store import Store

    limit_threads(threads)
    store, layout = Store.open(store_url), RunLayout(run)
    config = read_config(store, layout)
    dataset = Dataset.open(fetch(store, layout.dataset(config.dataset), DEFAULT_CACHE))
    scored = _Run(store, layout, config, dataset, best, device)
    for split in splits:  # what is not there is named before any work
        scored.dataset.queries(split)
        if candidates is Candidates.GIVEN:
            scored.dataset.candidates(split)
    for name in measures:
        parse_measure(name)
    if against is not None and against not in (names := _names(scored, systems, candidates, rerank_depth)):
        raise AnceError(f"no system '{against}' to compare with; there are: {', '.join(names)}")
    rankings = _rank_sparsely(scored, splits, systems, candidates, rerank_depth)
    _rank_densely(scored, rankings, systems, candidates)
    if trec is not None:
        for split, of_split in rankings.items():
            write_split(trec, run, dataset, split, of_split)
    return [_report(scored, split, of_split, against, measures) for split, of_split in rankings.items()]


def _names(run: _Run, systems: Collection[str], candidates: Candidates | None, rerank_depth: int) -> list[str]:
    """The systems that will be scored."""
    models = _models(run, systems)
    reranking = [f"{candidates}+{name}" for name in models] if candidates else []
    sparse = [BM25] if _ranks_sparsely(systems, candidates, rerank_depth) else []
    return [*sparse, *([RERANKED] if rerank_depth else []), *models, *reranking]


def _models(run: _Run, systems: Collection[str]) -> dict[str, int]:
    """Step of each model that is asked for."""
    steps = _steps(run.config, _last_step(run))
    return {name: step for name, step in steps.items() if not systems or name in systems}


def _ranks_sparsely(systems: Collection[str], candidates: Candidates | None, rerank_depth: int) -> bool:
    return not systems or BM25 in systems or candidates is Candidates.BM25 or rerank_depth > 0


def _rank_sparsely(
    run: _Run, splits: Sequence[str], systems: Collection[str], candidates: Candidates | None, rerank_depth: int
) -> "Rankings":
    """BM25 and the run's reranker on top of it, as far as they are asked for."""
    from ance.evaluation.systems import rank_bm25_splits, rerank

    if not _ranks_sparsely(systems, candidates, rerank_depth):
        return {split: {} for split in splits}
    found = rank_bm25_splits(run.dataset, splits, run.config.evaluation.depth)
    rankings = {split: {BM25: ranking} for split, ranking in found.items()}
    if rerank_depth:
        model = _reranker(run)
        for split, of_split in rankings.items():
            of_split[RERANKED] = rerank(model, of_split[BM25], run.dataset, split, rerank_depth)
    return rankings


def _rank_densely(run: _Run, rankings: "Rankings", systems: Collection[str], candidates: Candidates | None) -> None:
    """Add what the checkpoints of the run make of the corpus, and of the candidates."""
    from ance.evaluation.systems import rank_dense_splits
    from ance.model.encoding import TextEncoder
    from ance.runtime.artifacts import fetch
    from ance.runtime.settings import DEFAULT_CACHE

    config = run.config
    given = _candidates(run.dataset, rankings, candidates)
    for name, step in _models(run, systems).items():
        folder = fetch(run.store, run.layout.checkpoint(step), DEFAULT_CACHE)
        dtype, budget = config.encoding.dtype, config.encoding.token_budget
        encoder = TextEncoder.load(folder, device=run.device, dtype=dtype, token_budget=budget)
        found = rank_dense_splits(encoder, config.model, run.dataset, list(rankings), config.evaluation.depth, given)
        for split, dense in found.items():
            rankings[split][name] = dense.full
            if dense.reranked is not None:
                rankings[split][f"{candidates}+{name}"] = dense.reranked


def _report(
    run: _Run, split: str, rankings: "Mapping[str, Ranking]", baseline: str | None, more: Sequence[str]
) -> dict[str, Any]:
    from ance.evaluation.measures import MEASURES
    from ance.evaluation.metrics import unanswerable
    from ance.evaluation.scores import against, score

    measures = tuple(dict.fromkeys([*MEASURES, *more]))
    report: dict[str, Any] = {
        "dataset": run.config.dataset,
        "split": split,
        "queries": len(run.dataset.queries(split)),
        "left_out": unanswerable(run.dataset.qrels(split)),
        "systems": score(run.dataset, split, rankings, measures),
    }
    if baseline is not None:
        compared = against(run.dataset, split, rankings, baseline, measures)
        report["against"] = {
            "system": baseline,
            "compared": {name: {each: asdict(one) for each, one in of.items()} for name, of in compared.items()},
        }
    return report


def _candidates(dataset: "Dataset", rankings: "Rankings", kind: Candidates | None) -> "dict[str, NDArray[np.int64]]":
    """Split -> passage rows to re-rank for each query."""
    if kind is None:
        return {}
    if kind is Candidates.BM25:
        return {split: of[BM25].ids for split, of in rankings.items()}
    return {split: dataset.candidates(split).padded() for split in rankings}


def _reranker(run: _Run) -> "CrossEncoder":
    from ance.model.cross_encoder import CrossEncoder
    from ance.runtime.artifacts import fetch
    from ance.runtime.settings import DEFAULT_CACHE

    reranker = run.store.read_pointer(run.layout.pointer("reranker"))
    if reranker is None:
        raise AnceError(f"run '{run.layout.run}' has no reranker yet: make one with `ance reranker train`")
    return CrossEncoder.load(fetch(run.store, reranker, DEFAULT_CACHE), run.device)


def _last_step(run: _Run) -> int:
    """The checkpoint that is scored as the end of training."""
    from ance.runtime.run_history import best_step

    if run.best:
        return best_step(run.store, run.layout)
    newest = run.store.read_pointer(run.layout.pointer("checkpoint"))
    if newest is None:
        raise AnceError(f"run '{run.layout.run}' has no checkpoint yet: nothing to score")
    return newest.step


def _steps(config: "RunConfig", last: int) -> dict[str, int]:
    """Checkpoints to score by system. A system whose training has not ended is left out, or has no steps."""
    steps, warmup = {"start": 0}, config.training.warmup.steps
    if 0 < warmup <= last:
        steps["warmup"] = warmup
    if last > warmup:
        steps["ance"] = last
    return steps
