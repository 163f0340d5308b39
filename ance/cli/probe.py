"""`ance probe`: what each kind of negative would teach a checkpoint."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ance.cli.fleet import Device, OnDevice
from ance.errors import AnceError

if TYPE_CHECKING:
    from ance.cli.probe_negatives import ProbedQueries
    from ance.data.dataset import Dataset
    from ance.model.bi_encoder import BiEncoder
    from ance.runtime.contracts import RunConfig
    from ance.training.instance_gradients import InstanceGradients

COLUMNS = {
    "loss": "loss",
    "gradient_norm": "grad norm",
    "gradient_norm_error": "+-",
    "bound": "bound",
    "variance": "variance",
    "noise": "noise",
    "overlap": "overlap",
}


def probe(
    store: Annotated[str, typer.Option(help="Store that holds the run.", show_default=False)],
    run: Annotated[str, typer.Option(help="Id of the run.", show_default=False)],
    step: Annotated[int | None, typer.Option(min=0, help="Step of the checkpoint (default: the newest).")] = None,
    queries: Annotated[int, typer.Option(min=2, help="Training queries to draw.")] = 256,
    batch_size: Annotated[
        int | None, typer.Option(min=2, help="Queries of a batch (default: the run's).", show_default=False)
    ] = None,
    depth: Annotated[
        list[int] | None, typer.Option(min=1, help="Also with so many candidates; give it again for more.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    device: OnDevice = Device.CPU,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads (default: all).")] = None,
) -> None:
    """Measure loss, gradient norms and overlap of random, in-batch, hardest in-batch, BM25 and ANCE negatives.

    The paper's argument: negatives that teach have large gradients. Each query has one negative of each kind, drawn as
    training draws it, and the loss of such a pair is the paper's. The hardest of a batch is the harder, the larger the
    share of the corpus that a batch sees: the paper's batches have 8 queries. What is found is kept in the run, as
    probe.json. --depth 20 --depth 50 shows what other depths than the run's `negatives.candidates` would mine.
    """
    report = probe_run(
        store,
        run,
        step,
        queries=queries,
        batch_size=batch_size,
        depths=depth or (),
        seed=seed,
        device=device,
        threads=threads,
    )
    print(json.dumps(report, indent=1) if as_json else table(report))


def probe_run(
    store_url: str,
    run: str,
    step: int | None = None,
    *,
    queries: int = 256,
    batch_size: int | None = None,
    depths: Sequence[int] = (),
    seed: int = 0,
    device: str = "cpu",
    threads: int | None = None,
) -> dict[str, Any]:
    """Probe one checkpoint and keep the result in the store.

    Returns:
        {"run", "dataset", "step", "seed", "queries", "batch_size", "candidates", "rank_correlation", "kinds": {kind:
        values}} with the values of `describe` for random, in_batch, hardest_in_batch, bm25, ance, and ance_top_N of
        each depth N; `rank_correlation` is Spearman's, of the bounds with the exact norms over all instances of all
        kinds.

    Raises:
        AnceError: no such run or checkpoint.
    """
    import numpy as np

    from ance.cli.probe_negatives import draw_queries, negatives_by_kind
    from ance.data.dataset import Dataset
    from ance.model.bi_encoder import BiEncoder
    from ance.runtime.artifacts import fetch
    from ance.runtime.layout import RunLayout, manifest_of
    from ance.runtime.process import limit_threads
    from ance.runtime.run import read_config
    from ance.runtime.settings import DEFAULT_CACHE
    from ance.runtime.store import Store

    limit_threads(threads)
    store, layout = Store.open(store_url), RunLayout(run)
    config = read_config(store, layout)
    if step is None:
        newest = store.read_pointer(layout.pointer("checkpoint"))
        if newest is None:
            raise AnceError(f"run '{run}' has no checkpoint yet: nothing to probe")
        step = newest.step
    elif not store.exists(manifest_of(layout.checkpoint(step))):
        raise AnceError(f"run '{run}' has no checkpoint of step {step}; `ance runs show {run}` lists what is there")
    dataset = Dataset.open(fetch(store, layout.dataset(config.dataset), DEFAULT_CACHE))
    model = BiEncoder.load(fetch(store, layout.checkpoint(step), DEFAULT_CACHE))

    rng = np.random.default_rng(seed)
    drawn = draw_queries(dataset, config.training.min_positive_grade, queries, rng)
    if batch_size is None:
        batch_size = config.training.batch_size
    kinds, top = negatives_by_kind(dataset, config, model, drawn, batch_size, rng, device, depths)
    gradients = {
        kind: _gradients(model.to(device), dataset, config, drawn, negatives) for kind, negatives in kinds.items()
    }
    bounds = np.concatenate([found.bounds for found in gradients.values()])
    norms = np.concatenate([found.norms for found in gradients.values()])
    report = {
        "run": run,
        "dataset": config.dataset,
        "step": step,
        "seed": seed,
        "queries": len(drawn.rows),
        "batch_size": batch_size,
        "candidates": config.negatives.candidates,
        "rank_correlation": rank_correlation(bounds, norms),
        "kinds": {kind: describe(found, kinds[kind], top) for kind, found in gradients.items()},
    }
    store.write(layout.probe, json.dumps(report, indent=1).encode())
    return report


def _gradients(
    model: "BiEncoder", dataset: "Dataset", config: "RunConfig", drawn: "ProbedQueries", negatives: Any
) -> "InstanceGradients":
    import numpy as np

    from ance.model.best_chunks import best_chunks
    from ance.model.chunks import Chunking
    from ance.model.encoding import TextEncoder
    from ance.training.instance_gradients import Instances, instance_gradients
    from ance.training.step import TrainingTexts

    queries, passages = dataset.queries("train").tokens, dataset.passages.tokens
    limits = config.model.max_query_tokens, config.model.max_passage_tokens
    instances = Instances(drawn.rows, drawn.positive_rows, negatives)
    if config.model.max_chunks > 1:
        encoder = TextEncoder(model, dataset.special, device=str(next(model.parameters()).device))
        chunking, n = Chunking.of(config.model, dataset.special), len(instances)
        vectors = encoder.queries.encode_rows_at(queries, np.tile(drawn.rows, 2), limits[0])
        both = passages.take(np.concatenate([instances.positive_rows, instances.negative_rows]))
        passages = best_chunks(encoder, chunking, vectors, both, limits[1])
        instances = Instances(drawn.rows, np.arange(n), np.arange(n, 2 * n))
    texts = TrainingTexts(queries, passages, dataset.special, *limits)
    return instance_gradients(model, texts, instances, config.training.score_scale)


def describe(found: "InstanceGradients", negatives: Any, top: Any) -> dict[str, float]:
    """What is reported of one kind of negative.

    Args:
        negatives: int64 [n], the negative of each query.
        top: int64 [n, k], what the checkpoint itself ranks highest, without the positives.

    Returns:
        n; means of loss, gradient_norm (exact) and bound; the norm's standard error and median; variance, that of the
        gradient estimate of one instance (Tr V[g], eq 9); noise, its ratio to the squared norm of the mean gradient;
        overlap, the share of the negatives that are among `top`.
    """
    from ance.evaluation.overlap import overlap

    return {
        "n": len(found.norms),
        "loss": float(found.losses.mean()),
        "gradient_norm": float(found.norms.mean()),
        "gradient_norm_error": float(found.norms.std(ddof=1) / len(found.norms) ** 0.5),
        "gradient_norm_median": float(sorted(found.norms)[len(found.norms) // 2]),
        "bound": float(found.bounds.mean()),
        "variance": found.variance,
        "noise": found.variance / found.mean_norm**2 if found.mean_norm else float("nan"),
        "overlap": overlap(negatives[:, None], top),
    }


def rank_correlation(one: Any, other: Any) -> float:
    """Spearman's rank correlation of two samples without ties, float [n] each."""
    import numpy as np

    ranks = [values.argsort().argsort() for values in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


def table(report: dict[str, Any]) -> str:
    """The report as aligned text."""
    title = (
        f"{report['run']}, checkpoint {report['step']}, {report['queries']} training queries of {report['dataset']}; "
        f"rank correlation of bound and exact gradient norm: {report['rank_correlation']:.3f}"
    )
    head = f"{'negatives':16}" + "".join(f"{name:>12}" for name in COLUMNS.values())
    rows = [
        f"{kind:16}" + "".join(f"{values[column]:12.4g}" for column in COLUMNS)
        for kind, values in report["kinds"].items()
    ]
    return "\n".join([title, head, *rows])
