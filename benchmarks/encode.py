"""Encoding from the token store against sentence_transformers.encode: same texts, model, precision and threads.

python -m benchmarks.encode [--data BEIR_FOLDER] [--threads 1] [--json]
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import torch

from ance.data.ragged import Ragged, RaggedWriter
from ance.data.tokenizer import Tokenizer
from ance.model.encoding import TextEncoder
from ance.model.layout import Pooling
from benchmarks.encoding_inputs import MAX_TOKENS, PRECISIONS, python_functions, save_minilm
from benchmarks.harness import Pairs, Result, machine, paired, use_threads
from benchmarks.options import parser, with_threads

GOAL = 1.3
TOLERANCE = 1e-5
"""Largest difference of a float32 vector."""


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print, and return the result. The figures are passages a second in float32; `details` has the rest."""
    command_line = with_threads(parser("encode", __doc__), threads=1)
    command_line.add_argument(
        "--data", type=Path, help="BEIR folder with corpus.jsonl (default: Python's own functions)"
    )
    command_line.add_argument("--texts", type=int, default=1000, help="passages to encode")
    command_line.add_argument("--layers", type=int, default=2, help="layers of MiniLM to keep")
    command_line.add_argument("--pooling", choices=["mean", "cls"], default="mean")
    command_line.add_argument("--pairs", type=int, default=5, help="paired runs for each precision")
    options = command_line.parse_args(arguments)
    use_threads(options.threads)
    texts = list(islice(_beir(options.data) if options.data else python_functions(), options.texts))
    result = compare(texts, layers=options.layers, pooling=options.pooling, n=options.pairs)
    print(result.to_json() if options.json else result.line())
    if not options.json:
        for precision, figures in result.details["precisions"].items():
            low, high = figures["spread"]
            print(
                f"  {precision:9} {figures['ours']:7.1f} passages/s, peer {figures['theirs']:7.1f}: "
                f"x {figures['ratio']:.2f} ({low:.2f} to {high:.2f}, n = {result.n}), "
                f"largest difference of a vector {figures['max_difference']:.1e}"
            )
    return result


def compare(texts: list[str], *, layers: int, pooling: Pooling, n: int) -> Result:
    """Encode the texts with both, in float32 and bfloat16, n pairs of runs each."""
    import sentence_transformers

    pairs: dict[str, Pairs] = {}
    differences: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        save_minilm(folder / "model", layers, pooling)
        with RaggedWriter(folder / "tokens.bin", folder / "tokens.npy", np.uint16) as writer:
            writer.extend(Tokenizer.load(folder / "model").encode(texts, MAX_TOKENS))
        tokens = Ragged.open(folder / "tokens.bin", folder / "tokens.npy", np.uint16)
        for precision in PRECISIONS:
            encoder = TextEncoder.load(folder / "model", dtype=precision)
            peer = sentence_transformers.SentenceTransformer(
                str(folder / "model"), device="cpu", model_kwargs={"dtype": getattr(torch, precision)}
            )
            ours = partial(encoder.encode_rows, tokens, 0, len(texts), MAX_TOKENS)
            theirs = partial(peer.encode, texts, show_progress_bar=False)
            differences[precision] = float(np.abs(ours() - theirs()).max())
            pairs[precision] = paired(ours, theirs, n)
    exact = pairs["float32"]
    return Result(
        name="encode",
        peer=f"sentence-transformers {sentence_transformers.__version__}",
        ours=len(texts) / median(exact.ours),
        theirs=len(texts) / median(exact.theirs),
        ratio=exact.speedup,
        goal=GOAL,
        holds=all(both.speedup >= GOAL for both in pairs.values()) and differences["float32"] <= TOLERANCE,
        n=n,
        spread=exact.spread,
        machine=machine(),
        details={
            "unit": "passages/s",
            "passages": len(texts),
            "layers": layers,
            "pooling": pooling,
            "precisions": {
                precision: {
                    "ours": len(texts) / median(both.ours),
                    "theirs": len(texts) / median(both.theirs),
                    "ratio": both.speedup,
                    "spread": both.spread,
                    "max_difference": differences[precision],
                }
                for precision, both in pairs.items()
            },
        },
    )


def _beir(folder: Path) -> Iterator[str]:
    with (folder / "corpus.jsonl").open() as lines:
        for line in lines:
            passage = json.loads(line)
            yield f"{passage.get('title', '')} {passage['text']}".strip()


if __name__ == "__main__":
    main()
