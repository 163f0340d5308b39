"""`ance eval`: BM25, the start model, the warm-up model and the ANCE model on one split."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ance.errors import AnceError

if TYPE_CHECKING:
    from ance.runtime.contracts import RunConfig

MEASURES = ("RR@10", "nDCG@10", "R@100", "R@1000")


def evaluate(
    store: Annotated[str, typer.Option(help="Store that holds the run.", show_default=False)],
    run: Annotated[str, typer.Option(help="Id of the run.", show_default=False)],
    split: Annotated[str, typer.Option(help="Split of the data set to score.")] = "test",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    trec: Annotated[Path | None, typer.Option(help="Folder for a TREC run of each system, and the qrels.")] = None,
    rerank: Annotated[
        int, typer.Option(min=0, help="Also score the run's reranker on BM25's first N passages (0: not).")
    ] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads (default: all).")] = None,
) -> None:
    """Score BM25, the start, the warm-up and the ANCE model by exact search over the whole corpus."""
    report = evaluate_run(store, run, split, trec=trec, rerank_depth=rerank, threads=threads)
    print(json.dumps(report, indent=1) if as_json else table(report))


def evaluate_run(
    store_url: str,
    run: str,
    split: str,
    *,
    trec: Path | None = None,
    rerank_depth: int = 0,
    systems: Collection[str] = (),
    threads: int | None = None,
) -> dict[str, Any]:
    """Measure every system of a run on a split.

    Args:
        store_url: holds the run.
        run: its id.
        split: of the run's data set.
        trec: folder for a TREC run of each system, and the qrels.
        rerank_depth: passages of BM25 that the run's reranker ranks again (0: it is left out).
        systems: score only these (empty: all).
        threads: CPU threads (None: all).

    Returns:
        {"dataset", "split", "queries", "systems": {name: {measure: value}}} with the systems bm25, start,
        warmup and ance; ance is the run's newest checkpoint. With `rerank_depth` also bm25+rerank. The measures are
        `MEASURES`, and Coverage@20 and @100 where the data set has answers.

    Raises:
        AnceError: no such run, data set or split, or the run has no checkpoint or no reranker yet.
    """
    from ance.data.dataset import Dataset
    from ance.evaluation.coverage import coverage
    from ance.evaluation.metrics import measure
    from ance.evaluation.systems import rank_bm25, rank_dense, rerank
    from ance.evaluation.trec import write_qrels, write_run
    from ance.model.cross_encoder import CrossEncoder
    from ance.model.encoding import TextEncoder
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
    qrels = dataset.qrels(split)
    newest = store.read_pointer(layout.pointer("checkpoint"))
    if newest is None:
        raise AnceError(f"run '{run}' has no checkpoint yet: nothing to score")
    rankings = {}
    if not systems or "bm25" in systems or rerank_depth:
        rankings["bm25"] = rank_bm25(dataset, split, config.evaluation.depth)
    if rerank_depth:
        reranker = store.read_pointer(layout.pointer("reranker"))
        if reranker is None:
            raise AnceError(f"run '{run}' has no reranker yet: make one with `ance reranker train`")
        model = CrossEncoder.load(fetch(store, reranker, DEFAULT_CACHE))
        rankings["bm25+rerank"] = rerank(model, rankings["bm25"], dataset, split, rerank_depth)
    for name, step in _steps(config, newest.step).items():
        if systems and name not in systems:
            continue
        folder = fetch(store, layout.checkpoint(step), DEFAULT_CACHE)
        encoder = TextEncoder.load(folder, dtype=config.encoding.dtype, token_budget=config.encoding.token_budget)
        rankings[name] = rank_dense(encoder, config.model, dataset, split, config.evaluation.depth)
    if trec is not None:
        trec.mkdir(parents=True, exist_ok=True)
        query_ids, passage_ids = dataset.queries(split).ids, dataset.passages.ids
        write_qrels(trec / f"{split}.qrels", query_ids, passage_ids, qrels)
        for name, ranking in rankings.items():
            path = trec / f"{name}.{split}.run"
            write_run(path, query_ids, passage_ids, ranking.ids, ranking.scores, f"{run}-{name}")
    scores = {name: measure(qrels, ranking.ids, measures=MEASURES) for name, ranking in rankings.items()}
    if dataset.has_answers(split):
        for name, ranking in rankings.items():
            scores[name] |= coverage(dataset.passages, dataset.answers(split), ranking.ids)
    return {
        "dataset": config.dataset,
        "split": split,
        "queries": len(dataset.queries(split)),
        "systems": scores,
    }


def _steps(config: "RunConfig", newest: int) -> dict[str, int]:
    """Checkpoints to score by system. A system whose training has not ended is left out."""
    steps = {"start": 0}
    if newest >= config.training.warmup.steps:
        steps["warmup"] = config.training.warmup.steps
    if newest > config.training.warmup.steps:
        steps["ance"] = newest
    return steps


def table(report: dict[str, Any]) -> str:
    """The report as aligned text."""
    title = f"{report['dataset']}, {report['split']}, {report['queries']} queries"
    names = list(dict.fromkeys(name for values in report["systems"].values() for name in values))
    head = f"{'system':12}" + "".join(f"{name:>14}" for name in names)
    rows = [
        f"{system:12}" + "".join(f"{values[name]:14.4f}" for name in names)
        for system, values in report["systems"].items()
    ]
    return "\n".join([title, head, *rows])
