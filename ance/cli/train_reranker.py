"""Training the reranker of a run, from the store and back into it. Imports torch: the command imports it late."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ance.cli.steps import Steps
from ance.data.dataset import Dataset
from ance.errors import AnceError
from ance.model.cross_encoder import CrossEncoder
from ance.negatives.mined import MinedNegatives
from ance.negatives.sources import ListedNegatives, MixedNegatives, RandomNegatives
from ance.runtime.artifacts import fetch, publish, published
from ance.runtime.bm25_cache import open_bm25
from ance.runtime.contracts import ArtifactRef, Kind, RunConfig
from ance.runtime.layout import RunLayout
from ance.runtime.run import read_config
from ance.runtime.settings import DEFAULT_CACHE
from ance.runtime.store import Store
from ance.training.bm25_mining import mine_bm25
from ance.training.reranker import RerankerConfig, RerankerTrainer


def train_reranker(
    store: Store, run: str, config: RerankerConfig, *, max_tokens: int = 256, device: str = "cpu"
) -> tuple[ArtifactRef, list[float]]:
    """Train a cross-encoder from the run's start checkpoint on random, then on BM25's and the newest ANN negatives.

    The result is published under the step of the ANN negatives, 0 before there are any; training again replaces it.

    Args:
        store: holds the run.
        run: its id.
        config: settings; the least grade of a positive is the run's own.
        max_tokens: longest pair, special tokens included.
        device: where to train.

    Returns:
        What was published, and the loss of each step.

    Raises:
        AnceError: no such run, or it has no start checkpoint yet, or the loss is not finite.
    """
    store.check_writable()
    layout = RunLayout(run)
    run_config = read_config(store, layout)
    config = config.model_copy(update={"min_positive_grade": run_config.training.min_positive_grade})
    start, newest = published(store, layout.checkpoint(0)), store.read_pointer(layout.pointer("negatives"))
    if start is None:
        raise AnceError(f"run '{run}' has no start checkpoint yet: start its trainer first, e.g. with `ance up`")
    dataset = Dataset.open(fetch(store, layout.dataset(run_config.dataset), DEFAULT_CACHE))
    lists = [_bm25(store, layout, run_config, dataset)]
    if newest is not None:
        lists.append(MinedNegatives.open(fetch(store, newest, DEFAULT_CACHE)))
    random = RandomNegatives(len(dataset.passages), dataset.qrels("train"))
    hard = MixedNegatives([ListedNegatives(mined.queries, mined.negatives, random) for mined in lists])
    torch.manual_seed(config.seed)  # for the head, and dropout
    model = CrossEncoder.start(str(fetch(store, start, DEFAULT_CACHE)), max_tokens=max_tokens)
    trainer = RerankerTrainer(model, dataset, random, hard, config, device)
    with Steps("reranker", config.steps) as steps:
        losses = trainer.run(steps.show)
    parents = {"checkpoint": start} | ({"negatives": newest} if newest is not None else {})
    stats = {"training": config.model_dump(mode="json"), "max_tokens": max_tokens, "loss": losses[-1]}
    return _publish(store, layout, run_config, model, parents, stats), losses


def _bm25(store: Store, layout: RunLayout, config: RunConfig, dataset: Dataset) -> MinedNegatives:
    """BM25's negatives: those that the run's warm-up trained on, else mined here."""
    if published(store, layout.bm25_negatives) is None:
        return mine_bm25(dataset, open_bm25(store, layout, config, dataset, DEFAULT_CACHE), config.negatives)
    return MinedNegatives.open(fetch(store, layout.bm25_negatives, DEFAULT_CACHE))


def _publish(
    store: Store,
    layout: RunLayout,
    config: RunConfig,
    model: CrossEncoder,
    parents: dict[str, ArtifactRef],
    stats: dict[str, object],
) -> ArtifactRef:
    step = parents["negatives"].step if "negatives" in parents else 0
    present = store.read_pointer(layout.pointer("reranker"))
    with TemporaryDirectory() as folder:
        model.save(Path(folder) / "reranker")
        return publish(
            store,
            layout.reranker(step),
            Path(folder) / "reranker",
            kind=Kind.RERANKER,
            run_id=config.run,
            step=step,
            # No lease: of two commands at once, the second to publish is refused.
            fencing_token=0 if present is None else present.fencing_token + 1,
            parents={role: parent.manifest_sha256 for role, parent in parents.items()},
            config_sha256=config.sha256,
            stats=stats,
            pointer=layout.pointer("reranker"),
        )
