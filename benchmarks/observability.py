"""What watching costs a training step: metrics and instance bounds recorded at every step, against none.

Both sides make the same steps from the same weights, one after the other. The watched side computes the last layer's
gradient norms of every instance and shows the step in the registry, as the trainer does; the other trains only.

python -m benchmarks.observability [--dataset beir:FOLDER] [--pairs 40] [--json]
"""

import argparse
import copy
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ance.cli.demo import DATASET
from ance.data.dataset import Dataset
from ance.data.open_source import open_source
from ance.data.prepare import prepare
from ance.data.tokenizer import Tokenizer
from ance.model.bi_encoder import BiEncoder
from ance.negatives.sources import RandomNegatives
from ance.runtime.contracts import RunConfig
from ance.runtime.metrics import TrainerMetrics
from ance.training.batches import TrainingBatches
from ance.training.optimisers import build_optimiser
from ance.training.preparation import prepare_for_training
from ance.training.step import TrainingStep, TrainingTexts
from benchmarks.harness import Result, machine, paired, use_threads
from benchmarks.options import DEMO
from benchmarks.runs import load_config

GOAL = round(1 / 1.02, 3)
"""At most 2 % on top of a step."""
NEVER = 1_000_000_000


def stepper(
    config: RunConfig, dataset: Dataset, model: BiEncoder, metrics: TrainerMetrics | None
) -> Callable[[], object]:
    """Makes one optimiser step at each call, watched where there are metrics."""
    every = 1 if metrics is not None else NEVER
    training = config.training.model_copy(update={"gradient_norm_steps": every})
    trained = prepare_for_training(copy.deepcopy(model), training.dropout, "cpu")
    step = TrainingStep(
        trained,
        build_optimiser(trained, training, training.ance.learning_rate),
        TrainingTexts(
            queries=dataset.queries("train").tokens,
            passages=dataset.passages.tokens,
            special=dataset.special,
            max_query_tokens=config.model.max_query_tokens,
            max_passage_tokens=config.model.max_passage_tokens,
        ),
        training,
    )
    qrels = dataset.qrels("train")
    batches, negatives = TrainingBatches(qrels, training), RandomNegatives(len(dataset.passages), qrels)
    number = 0

    def make_step() -> None:
        nonlocal number
        batch = batches.batch(number, negatives)
        result = step.run(number, batch, loss=training.ance.loss, learning_rate=1e-5)
        number += 1
        if metrics is not None:
            metrics.observe_step(
                step=number,
                loss=result.loss,
                learning_rate=result.learning_rate,
                seconds=result.seconds,
                tokens=result.tokens,
            )
            bounds = {"random": result.instance_bounds["drawn"], "in_batch": result.instance_bounds["in_batch"]}
            metrics.observe_gradients(result.gradient_norms, bounds)

    return make_step


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result. The figures are seconds of all steps of a side."""
    parser = argparse.ArgumentParser(prog="benchmarks.observability", description=__doc__)
    parser.add_argument("--dataset", default=DATASET, help="as for `ance prepare`")
    parser.add_argument("--config", type=Path, default=DEMO, help="run configuration")
    parser.add_argument("--pairs", type=int, default=40, help="steps of either side")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    use_threads(options.threads)
    config = load_config(options.config, {})
    with tempfile.TemporaryDirectory() as place:
        tokenizer = Tokenizer.load(config.model.name_or_path)
        prepare(open_source(options.dataset), tokenizer, Path(place) / "dataset")
        dataset, model = Dataset.open(Path(place) / "dataset"), BiEncoder.start(config.model)
        watched = stepper(config, dataset, model, TrainerMetrics())
        pairs = paired(watched, stepper(config, dataset, model, None), options.pairs)
    result = Result(
        name="observability",
        peer="the same steps unwatched",
        ours=sum(pairs.ours),
        theirs=sum(pairs.theirs),
        ratio=pairs.speedup,
        goal=GOAL,
        holds=pairs.speedup >= GOAL,
        n=options.pairs,
        spread=pairs.spread,
        machine=machine(),
        details={"unit": "s", "dataset": options.dataset},
    )
    print(result.to_json() if options.json else result.line())
    return result


if __name__ == "__main__":
    main()
