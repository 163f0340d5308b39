"""The README.md of an exported model, with the front matter that the Hugging Face hub reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from ance.cli.model_usage import usage

if TYPE_CHECKING:
    from ance.data.dataset import Dataset
    from ance.runtime.contracts import Manifest, RunConfig
    from ance.training.config import StageConfig


def model_card(config: RunConfig, step: int, checkpoint: Manifest, dataset: Dataset, dev: Mapping[str, float]) -> str:
    """Markdown: what the model is, what it was trained on and how, how good it is, and how to use it.

    Args:
        config: of the run.
        step: of the checkpoint.
        checkpoint: its manifest.
        dataset: of the run.
        dev: metrics of the checkpoint on the dev split by exact search; empty if none were measured.
    """
    matter = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "feature-extraction", "dense-retrieval", "ance"],
    }
    names = [name for name in (config.model.name_or_path, config.model.query_name_or_path) if name is not None]
    if not any(Path(name).is_absolute() or Path(name).exists() for name in names):
        matter["base_model"] = names[0] if len(names) == 1 else names
    sections = [
        f"# {config.run}, step {step}",
        "A bi-encoder for dense retrieval, trained with ANCE: approximate nearest neighbour negative contrastive "
        "learning (Xiong et al. 2021). Vectors are compared by inner product.",
        "## How to use it\n\n" + usage(config.model, dataset.meta.provenance),
        "## What it is\n\n" + _table(_facts(config, step, checkpoint)),
        "## What it was trained on\n\n" + _table(_data(config.dataset, dataset)),
        "## How it was trained\n\n" + _table(_recipe(config, step)),
        "## How good it is\n\n" + _quality(dev),
    ]
    return "---\n" + yaml.safe_dump(matter, sort_keys=False) + "---\n\n" + "\n\n".join(sections) + "\n"


def _facts(config: RunConfig, step: int, checkpoint: Manifest) -> Iterable[tuple[str, object]]:
    model = config.model
    yield "base model", _short(model.name_or_path)
    if model.query_name_or_path is not None:
        yield "base model of queries", _short(model.query_name_or_path)
    yield "encoders", "one for queries and passages" if model.shared else "two: queries, passages"
    if model.layers is not None:
        yield "layers", f"the first {model.layers}"
    yield "pooling", model.pooling
    if model.projection_dim is not None:
        yield "head", f"linear, layer norm, {model.projection_dim} dimensions"
    yield "unit length", "yes" if model.normalize else "no"
    yield "checkpoint", f"step {step}, {datetime.fromtimestamp(checkpoint.created_at, UTC):%Y-%m-%d %H:%M UTC}"
    yield "configuration", f"`{config.sha256[:12]}`"


def _data(name: str, dataset: Dataset) -> Iterable[tuple[str, object]]:
    yield "data set", name
    for what, count in dataset.meta.counts.items():
        if not what.endswith("_without_positive"):
            yield what.replace("_", " "), f"{count:,}"
    for what, value in dataset.meta.provenance.items():
        if isinstance(value, str | int | float):
            yield what.replace("_", " "), _without_machine(value) if isinstance(value, str) else value


def _recipe(config: RunConfig, step: int) -> Iterable[tuple[str, object]]:
    training = config.training
    yield "warm-up", _stage(training.warmup, min(step, training.warmup.steps))
    yield "ANCE", _stage(training.ance, max(0, step - training.warmup.steps))
    yield "batch", f"{training.batch_size * training.gradient_accumulation} queries"
    yield "negatives of a query", training.negatives_per_query
    yield "candidates", f"top {config.negatives.candidates}, {config.negatives.sample} sampled"
    used = [training.in_stage(stage).optimizer for stage in (training.warmup, training.ance) if stage.steps]
    yield "optimiser", ", then ".join(dict.fromkeys(used)) or "none"
    yield "seed", training.seed


def _stage(stage: StageConfig, done: int) -> str:
    if not done:
        return "none"
    return f"{done:,} steps, {stage.negatives} negatives, {stage.loss} loss, learning rate {stage.learning_rate:g}"


def _quality(dev: Mapping[str, float]) -> str:
    if not dev:
        return "Nothing was measured with this checkpoint."
    return "On the dev split, by exact search over all passages:\n\n" + _table(
        (name, f"{value:.4f}") for name, value in dev.items()
    )


def _short(name_or_path: str) -> str:
    """A hub's name as it is; of a folder its last two parts, which say enough and nothing of the machine."""
    return "/".join(Path(name_or_path).parts[-2:])


def _without_machine(source: str) -> str:
    """Where data came from, `beir:/a/path/to/scifact`, without the path."""
    kind, colon, place = source.rpartition(":")
    return f"{kind}{colon}{_short(place)}" if Path(place).is_absolute() else source


def _table(rows: Iterable[tuple[str, object]]) -> str:
    lines = (f"| {name} | {str(value).replace('|', '/')} |" for name, value in rows)
    return "\n".join(["| | |", "|---|---|", *lines])
