"""How close encoding comes to the processor's rate of matrix products, for texts of over 64 tokens.

The bound is the time of as many floating-point operations as the model's matrix products have (linear layers and
attention, no padding), at the highest rate of any product tried: linear layers of the model's widths for more and fewer
tokens, and square ones, in the same precision. All are timed in turns with the encoder.

python -m benchmarks.roofline [--texts 500] [--layers 2] [--threads 1] [--json]
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ance.data.ragged import Ragged
from ance.data.tokenizer import Tokenizer
from ance.model.batching import text_lengths
from ance.model.bi_encoder import BiEncoder
from ance.model.encoding import CPU_TOKEN_BUDGET, TextEncoder
from ance.model.linear import linear
from benchmarks.encoding_inputs import MAX_TOKENS, PRECISIONS, python_functions, save_minilm
from benchmarks.harness import Pairs, Result, machine, use_threads
from benchmarks.options import parser, with_threads

GOAL = 0.7
SHORTEST = 65
"""Tokens of a text."""
PRODUCT_SECONDS = 0.5
"""For which each product is repeated."""


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

    def rate(self) -> float:
        """Operations a second, kept up for `PRODUCT_SECONDS`: encoding is timed over seconds too, so that whatever else
        the machine does slows both."""
        layer = linear(lambda weights: weights.detach().to(self.dtype), nn.Linear(self.k, self.n))
        x = torch.randn(self.m, self.k).to(self.dtype)
        with torch.inference_mode():
            layer(x)  # compiles its kernel
            products, began = 0, time.perf_counter()
            while (seconds := time.perf_counter() - began) < PRODUCT_SECONDS:
                layer(x)
                products += 1
        return products * self.operations / seconds


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
            f"  {precision:9} {figures['product_gflops']:.0f} GFLOP/s by the fastest product, "
            f"reached {figures['ratio']:.0%} ({low:.0%} to {high:.0%})"
        )
    return result


def compare(texts: int, layers: int, n: int) -> Result:
    """Encode with each precision, in turns with the products."""
    pairs: dict[str, Pairs] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = save_minilm(folder, layers)
        tokenizer = Tokenizer.load(folder)
        tokens = long_texts(tokenizer, texts)
        lengths = text_lengths(tokens, np.arange(len(tokens)), tokenizer.special, MAX_TOKENS)
        operations = operations_of(model, lengths)
        for precision in PRECISIONS:
            encoder = TextEncoder.load(folder, dtype=precision)
            products = products_of(model, getattr(torch, precision))
            encoder.encode_rows(tokens, 0, len(tokens), MAX_TOKENS)
            ours, bounds = [], []
            for _ in range(n):
                began = time.perf_counter()
                encoder.encode_rows(tokens, 0, len(tokens), MAX_TOKENS)
                ours.append(time.perf_counter() - began)
                bounds.append(operations / max(product.rate() for product in products))
            pairs[precision] = Pairs(ours, bounds)
    exact = pairs["float32"]
    return Result(
        name="roofline",
        peer="as many operations at the rate of the fastest product",
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
                    "ours": median(both.ours),
                    "theirs": median(both.theirs),
                    "ratio": both.speedup,
                    "spread": both.spread,
                    "product_gflops": operations / median(both.theirs) / 1e9,
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
    projections = 2 * (4 * hidden**2 + 2 * hidden * feed_forward) * float(lengths.sum())
    attention = 2 * 2 * hidden * float((lengths.astype(np.float64) ** 2).sum())
    return float(config.num_hidden_layers * (projections + attention))


def products_of(model: BiEncoder, dtype: torch.dtype) -> list[Product]:
    """Those that are tried: of the model's widths, and square ones."""
    config = model.backbone.config
    widths = ((config.hidden_size, config.intermediate_size), (config.intermediate_size, config.hidden_size))
    own = [Product(rows, *width, dtype) for rows in (256, 512, 1024, CPU_TOKEN_BUDGET) for width in widths]
    return own + [Product(side, side, side, dtype) for side in (512, 1024)]


if __name__ == "__main__":
    main()
