"""What a model learns from each kind of negatives: same warm-up weights, same steps, same queries, several seeds.

Each seed trains one warm-up; every variant (benchmarks/negative_variants.py) trains on from its weights. With --folder
the measurements, the data set and the weights are kept there: started again, or with other variants, seeds or splits,
it measures only what is missing. A --set changes the settings of the variants that are named beside it, which are then
measurements of their own, such as `ance@training.ance.learning_rate=5e-05`: choose them on dev.

python -m benchmarks.negatives --recipe tldr --folder build/negatives/tldr --variants random ance --splits dev --seeds 3
"""

import hashlib
import json
import shlex
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ance.cli.models import resolve_model
from ance.cli.recipes import Recipe, read_recipe
from ance.data.dataset import META, Dataset
from ance.data.open_source import open_source
from ance.data.prepare import prepare
from ance.data.tokenizer import Tokenizer
from ance.negatives.config import NegativesConfig
from ance.runtime.contracts import RunConfig
from ance.training.config import RETRIEVED
from benchmarks.harness import Result, commit, machine, use_threads
from benchmarks.negative_hardness import hardness
from benchmarks.negative_record import Record
from benchmarks.negative_summary import summarise, summary
from benchmarks.negative_training import Branches, Schedule
from benchmarks.negative_variants import OF_A_RUN, OF_THE_SCHEDULE, VARIANTS, Variant
from benchmarks.options import parser, with_device, with_threads
from benchmarks.runs import with_changes
from tools.results_claims import MEASURE
from tools.results_data import PEERS, Results


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result: mean RR@10 after ANN negatives over that after the best of the others."""
    options = _options(arguments)
    use_threads(options.threads)
    with _folder(options.folder) as folder:
        recipe, values = _recipe(options.recipe)
        config = configured(values, {})
        dataset = prepared(options.dataset or recipe.spec(), config, folder / "dataset")
        about = _about(options, options.dataset or recipe.dataset, config, dataset)
        record = Record(folder / "record.json", about)
        for name in options.variants:  # what cannot be is said before anything is trained
            if of_variant(values, name, _changes(options)).negatives.exclude_answers:
                dataset.answers("train")
        origin = {"machine": machine(options.device), "commit": commit(), "command": command()}
        branches = Branches(config, dataset, folder, options.device)
        measure_bm25(branches, record, options.splits)
        if not record.has_hardness():
            record.set_hardness(hardness(branches, config.training.seed))
        for seed in range(config.training.seed, config.training.seed + options.seeds):
            for name in ("start", "warmup", *options.variants):
                measure_variant(branches, record, values, name, seed, options, origin)
        split = "test" if "test" in options.splits else options.splits[0]
        results = Results.model_validate(record.values)
        result = summarise(results, split)
        print(result.to_json() if options.json else json.dumps(summary(results, split), indent=1))
    return result


def measure_bm25(branches: Branches, record: Record, splits: Sequence[str]) -> None:
    """Score BM25's own ranking of the splits on which it has not been."""
    missing = [split for split in splits if record.bm25(split) is None]
    if missing:
        for split, scores in branches.score_bm25(missing).items():
            record.set_bm25(split, scores)


def measure_variant(
    branches: Branches,
    record: Record,
    values: Mapping[str, Any],
    name: str,
    seed: int,
    options: Namespace,
    origin: Mapping[str, str],
) -> None:
    """Train a variant and score it on the splits on which it has not been; nothing if there is none.

    Args:
        origin: machine, commit and command of this process.
    """
    changes = _changes(options) if name in VARIANTS else {}
    shown = "@".join([name, *(f"{key}={value}" for key, value in sorted(changes.items()))])
    missing = [split for split in options.splits if split not in record.scores(shown, seed)]
    if not missing:
        return
    variant = VARIANTS.get(name, Variant(name, {}))
    own = {key: int(changes[key]) for key in OF_THE_SCHEDULE if key in changes}
    schedule = Schedule(options.refresh, options.lag)._replace(**own)
    config = of_variant(values, name, changes)
    steps = {"start": 0, "warmup": config.training.warmup.steps}.get(name, config.training.ance.steps)
    if name in VARIANTS:
        trained = branches.trained(shown, config, seed, schedule)
    else:
        trained = branches.start(seed) if name == "start" else branches.warmed_up(seed)
    scores = branches.score(trained.model, missing)
    facts = {"steps": steps, "seconds": trained.seconds, **origin}
    record.add(shown, variant.group, {**variant.settings, **changes}, seed, scores, facts)
    shown_scores = ", ".join(f"{split} {of[MEASURE]:.4f}" for split, of in scores.items())
    print(f"  seed {seed}: {shown}: {shown_scores} ({trained.seconds:.0f} s)", file=sys.stderr, flush=True)


def of_variant(values: Mapping[str, Any], name: str, changes: Mapping[str, str]) -> RunConfig:
    """The run of a variant, or of what comes before any, with what --set says."""
    settings = VARIANTS[name].settings if name in VARIANTS else {}
    of_config = {key: value for key, value in changes.items() if key not in OF_THE_SCHEDULE}
    return configured(values, {**settings, **of_config})


def configured(values: Mapping[str, Any], changes: Mapping[str, Any]) -> RunConfig:
    """A recipe's run with some dotted keys changed.

    Where that run asks no index, what the recipe itself says of negatives of an index is left out.
    """
    changed = with_changes(values, changes)
    if not set(RETRIEVED).intersection(changed["training"]["ance"]["negatives"].split("+")):
        changed = with_changes(without_index(values), changes)
    return RunConfig.parse(yaml.safe_dump(changed), "benchmarks.negatives")


def without_index(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a run without those that act on negatives of an index alone."""
    mining = values.get("negatives", {})
    unused = NegativesConfig.model_validate(mining).of_an_index
    return {
        **values,
        "training": {key: value for key, value in values["training"].items() if key != "synchronous"},
        "negatives": {key: value for key, value in mining.items() if key not in unused},
    }


def prepared(spec: str, config: RunConfig, folder: Path) -> Dataset:
    """The data set in a folder, made there unless an earlier start did."""
    if not (folder / META).exists():
        prepare(open_source(spec), Tokenizer.load(config.model.name_or_path), folder)
    return Dataset.open(folder)


def command() -> str:
    """What was typed to get here."""
    return shlex.join(["python", "-m", "benchmarks.negatives", *sys.argv[1:]])


def _options(arguments: Sequence[str] | None) -> Namespace:
    command_line = with_device(with_threads(parser("negatives", __doc__), threads=2))
    command_line.add_argument("--recipe", default="python-env", help="data set and settings: one of recipes/")
    command_line.add_argument("--dataset", help="as for `ance prepare`, instead of the recipe's")
    command_line.add_argument("--variants", nargs="+", choices=VARIANTS, default=[*PEERS, "ance"], metavar="NAME")
    command_line.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of these variants")
    command_line.add_argument("--splits", nargs="+", default=["dev"], metavar="SPLIT", help="what is scored")
    command_line.add_argument("--seeds", type=int, default=3)
    command_line.add_argument("--refresh", type=int, default=40, help="steps from one refresh to the next")
    command_line.add_argument("--lag", type=int, default=40, help="steps a refresh takes")
    command_line.add_argument("--folder", type=Path, help="keeps what is measured and goes on from it")
    options = command_line.parse_args(arguments)
    for change in options.set:
        key, equals, value = change.partition("=")
        if key in OF_THE_SCHEDULE and not (value.isdecimal() and int(value) >= (key == "refresh")):
            command_line.error(f"--set {change}: expected {key}=STEPS, a whole number")
        if not equals or not (key in OF_THE_SCHEDULE or key.startswith(OF_A_RUN)):
            allowed = " or ".join((*OF_A_RUN, *OF_THE_SCHEDULE))
            command_line.error(f"--set {change}: expected KEY=VALUE, the key in {allowed}")
    return options


def _changes(options: Namespace) -> dict[str, str]:
    """What --set says, by key."""
    return dict(change.split("=", 1) for change in options.set)


def _recipe(name: str) -> tuple[Recipe, dict[str, Any]]:
    """A recipe and the configuration of its run."""
    recipe, text = read_recipe(name)
    values: dict[str, Any] = yaml.safe_load(text)
    values["model"]["name_or_path"] = resolve_model(values["model"]["name_or_path"])
    return recipe, values


def _about(options: Namespace, spec: str, config: RunConfig, dataset: Dataset) -> dict[str, Any]:
    """What all measurements of a folder have in common.

    Raises:
        AnceError: the data set has not a split that is to be scored.
    """
    for split in options.splits:
        dataset.queries(split)
    # What is off is left out: a new method, which these runs have not, disowns no measurement.
    sections = {"model", "training", "negatives", "encoding"}
    settings = config.model_dump(mode="json", include=sections, exclude_none=True)
    settings["model"]["name_or_path"] = Path(settings["model"]["name_or_path"]).name
    canonical = json.dumps(settings, sort_keys=True).encode()
    return {
        "recipe": options.recipe,
        "dataset": spec,
        "counts": dataset.meta.counts,
        "warmup_steps": config.training.warmup.steps,
        "steps": config.training.ance.steps,
        "refresh": options.refresh,
        "lag": options.lag,
        "settings_sha256": hashlib.sha256(canonical).hexdigest(),
    }


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield Path(scratch)


if __name__ == "__main__":
    main()
