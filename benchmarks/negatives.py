"""What a model learns from ANN negatives against BM25's and random ones: same weights to start from, same steps.

Each seed trains one warm-up; from its weights every kind of negatives trains on for the same number of steps, with
the same batches of queries. ANN negatives are refreshed as in a run: mined every `--refresh` steps, in use `--lag`
steps later.

python -m benchmarks.negatives [--dataset beir:FOLDER] [--seeds 3] [--split dev]
"""

import copy
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import torch

from ance.data.dataset import Dataset
from ance.data.open_source import open_source
from ance.data.prepare import prepare
from ance.data.tokenizer import Tokenizer
from ance.evaluation.metrics import measure
from ance.evaluation.systems import Ranking, rank_bm25, rank_dense
from ance.model.bi_encoder import BiEncoder
from ance.model.encoding import TextEncoder
from ance.negatives.mined import MinedNegatives, mine, ranking_depth
from ance.negatives.sources import ListedNegatives, NegativeSource, RandomNegatives
from ance.runtime.contracts import RunConfig
from ance.training.batches import TrainingBatches
from ance.training.config import StageConfig
from ance.training.optimisers import build_optimiser
from ance.training.preparation import prepare_for_training
from ance.training.schedule import learning_rate
from ance.training.step import TrainingStep, TrainingTexts
from benchmarks.harness import Result, machine, use_threads
from benchmarks.options import parser, with_config, with_threads
from benchmarks.runs import load_config

MEASURE = "RR@10"
KINDS = ("ance", "bm25", "random")


class Experiment:
    """One data set and configuration; trains and scores models in this process."""

    def __init__(self, config: RunConfig, dataset: Dataset, split: str, refresh: int, lag: int) -> None:
        self.config = config
        self.dataset = dataset
        self.split = split
        self.refresh = refresh
        self.lag = lag
        self.qrels = dataset.qrels("train")
        self.random = RandomNegatives(len(dataset.passages), self.qrels)
        self.bm25 = self._listed(self._mine_bm25())
        self.texts = TrainingTexts(
            queries=dataset.queries("train").tokens,
            passages=dataset.passages.tokens,
            special=dataset.special,
            max_query_tokens=config.model.max_query_tokens,
            max_passage_tokens=config.model.max_passage_tokens,
        )

    def seed(self, seed: int, kinds: Sequence[str] = KINDS) -> dict[str, float]:
        """Scores of the warm-up and of each kind of negatives after it."""
        training = self.config.training.model_copy(update={"seed": seed})
        torch.manual_seed(seed)
        model = prepare_for_training(BiEncoder.start(self.config.model), training.dropout, "cpu")
        scores = {"start": self.score(model)}
        self._train(model, training.warmup, 0, seed, "bm25")
        scores["warmup"] = self.score(model)
        print(f"  seed {seed}: start {scores['start']:.4f}, warmup {scores['warmup']:.4f}", flush=True)
        weights = copy.deepcopy(model.state_dict())
        for kind in kinds:
            model.load_state_dict(weights)
            self._train(model, training.ance, training.warmup.steps, seed, kind)
            scores[kind] = self.score(model)
            print(f"  seed {seed}: {kind} {scores[kind]:.4f}", flush=True)
        return scores

    def score(self, model: BiEncoder) -> float:
        """RR@10 of the split by exact search over the whole corpus."""
        encoder = self._encoder(model)
        return self.measure(rank_dense(encoder, self.config.model, self.dataset, self.split, 10))

    def measure(self, ranking: Ranking) -> float:
        """RR@10 of a ranking of the split."""
        return measure(self.dataset.qrels(self.split), ranking.ids, measures=(MEASURE,))[MEASURE]

    def _train(self, model: BiEncoder, stage: StageConfig, first: int, seed: int, kind: str) -> None:
        training = self.config.training.model_copy(update={"seed": seed})
        torch.manual_seed(seed + first)
        batches = TrainingBatches(self.qrels, training)
        optimiser = build_optimiser(model, training, stage.learning_rate)
        step = TrainingStep(model, optimiser, self.texts, training)
        source: NegativeSource = self.random if kind == "random" else self.bm25
        arriving: dict[int, NegativeSource] = {}
        for number in range(first, first + stage.steps):
            if kind == "ance" and (number - first) % self.refresh == 0:
                # The stage waits for its first negatives; later ones arrive while it trains.
                due = number if number == first else number + self.lag
                arriving[due] = self._listed(self._mine_ann(model, number))
            source = arriving.pop(number, source)
            rate = learning_rate(stage, number - first)
            step.run(number, batches.batch(number, source), loss=stage.loss, learning_rate=rate)

    def _mine_bm25(self) -> MinedNegatives:
        ranking = rank_bm25(self.dataset, "train", ranking_depth(self.qrels, self.config.negatives))
        return mine(ranking.ids, ranking.scores, self.qrels, self.config.negatives, step=0)

    def _mine_ann(self, model: BiEncoder, step: int) -> MinedNegatives:
        depth = ranking_depth(self.qrels, self.config.negatives)
        ranking = rank_dense(self._encoder(model), self.config.model, self.dataset, "train", depth)
        return mine(ranking.ids, ranking.scores, self.qrels, self.config.negatives, step)

    def _encoder(self, model: BiEncoder) -> TextEncoder:
        return TextEncoder(model.eval(), self.dataset.special, dtype=self.config.encoding.dtype)

    def _listed(self, mined: MinedNegatives) -> ListedNegatives:
        return ListedNegatives(mined.queries, mined.negatives, self.random)


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result: mean RR@10 after ANN negatives over that after BM25's."""
    command_line = with_threads(with_config(parser("negatives", __doc__)), threads=2)
    command_line.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="change a setting, dotted key")
    command_line.add_argument("--split", default="dev")
    command_line.add_argument("--seeds", type=int, default=3)
    command_line.add_argument("--refresh", type=int, default=40, help="steps from one refresh to the next")
    command_line.add_argument("--lag", type=int, default=40, help="steps a refresh takes")
    command_line.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="for tuning: only some")
    options = command_line.parse_args(arguments)
    use_threads(options.threads)
    config = load_config(options.config, dict(change.split("=", 1) for change in options.set))
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = Tokenizer.load(config.model.name_or_path)
        prepare(open_source(options.dataset), tokenizer, Path(scratch) / "dataset")
        dataset = Dataset.open(Path(scratch) / "dataset")
        experiment = Experiment(config, dataset, options.split, options.refresh, options.lag)
        bm25 = experiment.measure(rank_bm25(dataset, options.split, 10))
        print(f"{options.dataset}, {options.split}: BM25 {bm25:.4f}", flush=True)
        runs = [experiment.seed(config.training.seed + number, options.kinds) for number in range(options.seeds)]
    if set(options.kinds) != set(KINDS):
        command_line.exit(message="no claim is made from some kinds only\n")
    result = summarise(options.dataset, options.split, bm25, runs)
    print(result.to_json() if options.json else json.dumps(result.details, indent=1))
    return result


def summarise(dataset: str, split: str, bm25: float, runs: list[dict[str, float]]) -> Result:
    """Means over the seeds, with their spread, and the claim: ANN negatives beat BM25's and random ones."""
    means = {name: mean(run[name] for run in runs) for name in runs[0]}
    spread = {name: [min(run[name] for run in runs), max(run[name] for run in runs)] for name in runs[0]}
    ratios = [run["ance"] / run["bm25"] for run in runs]
    return Result(
        name="negatives",
        peer="BM25 negatives, same weights and steps",
        ours=means["ance"],
        theirs=means["bm25"],
        ratio=means["ance"] / means["bm25"],
        goal=1.0,
        holds=means["ance"] > max(means["bm25"], means["random"]) and means["ance"] >= 1.05 * means["warmup"],
        n=len(runs),
        spread=(min(ratios), max(ratios)),
        machine=machine(),
        details={
            "dataset": dataset,
            "split": split,
            "measure": MEASURE,
            "bm25_retrieval": bm25,
            "mean": {name: round(value, 4) for name, value in means.items()},
            "spread": {name: [round(v, 4) for v in values] for name, values in spread.items()},
            "above_bm25_retrieval": means["ance"] > bm25,
        },
    )


if __name__ == "__main__":
    main()
