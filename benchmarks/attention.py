"""Attention of bfloat16 texts on a CPU against torch's fused kernel: heads of MiniLM, texts from short to long.

python -m benchmarks.attention [--heads 12] [--width 32] [--threads 1] [--json]
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import median

import torch
from torch import Tensor

from ance.model.attention import Attention, fused, unshifted
from ance.model.encoding import CPU_TOKEN_BUDGET
from benchmarks.harness import Pairs, Result, machine, paired, use_threads
from benchmarks.options import parser, with_threads

GOAL = 1.5
LENGTHS = (12, 32, 64, 128, 173, 256)
"""Tokens of a text."""
REPEATS = 10
"""Calls that are timed together."""


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result: seconds over all lengths, the same number of tokens of each."""
    command_line = with_threads(parser("attention", __doc__), threads=1)
    command_line.add_argument("--heads", type=int, default=12)
    command_line.add_argument("--width", type=int, default=32, help="of a head")
    command_line.add_argument("--pairs", type=int, default=5, help="paired runs for each length")
    options = command_line.parse_args(arguments)
    use_threads(options.threads)
    result = compare(options.heads, options.width, options.pairs)
    print(result.to_json() if options.json else result.line())
    for length, ratio in {} if options.json else result.details["ratios"].items():
        print(f"  {length} tokens: x {ratio:.2f}")
    return result


@torch.inference_mode()
def compare(heads: int, width: int, n: int) -> Result:
    """Attention among the tokens of as many texts as a batch has, for each length."""
    pairs: dict[int, Pairs] = {}
    for length in LENGTHS:
        batch = tensors(CPU_TOKEN_BUDGET // length, length, heads, width)
        pairs[length] = paired(partial(repeat, unshifted, batch), partial(repeat, fused, batch), n)
    both = Pairs(
        [sum(seconds) for seconds in zip(*(pair.ours for pair in pairs.values()), strict=True)],
        [sum(seconds) for seconds in zip(*(pair.theirs for pair in pairs.values()), strict=True)],
    )
    return Result(
        name="attention",
        peer=f"torch {torch.__version__}, scaled_dot_product_attention",
        ours=median(both.ours),
        theirs=median(both.theirs),
        ratio=both.speedup,
        goal=GOAL,
        holds=both.speedup >= GOAL,
        n=n,
        spread=both.spread,
        machine=machine(),
        details={"unit": "s", "ratios": {str(length): pair.speedup for length, pair in pairs.items()}},
    )


def repeat(attend: Attention, batch: Sequence[Tensor]) -> None:
    """Attention, `REPEATS` times."""
    for _ in range(REPEATS):
        attend(*batch)


def tensors(rows: int, length: int, heads: int, width: int) -> list[Tensor]:
    """Queries, keys, values and room for the result, [rows, heads, length, width], as linear layers leave them."""
    return [torch.randn(rows, length, heads, width).bfloat16().transpose(1, 2) for _ in range(4)]


if __name__ == "__main__":
    main()
