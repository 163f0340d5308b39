"""Run every benchmark, print one table, write results/NAME.json: `make bench`."""

import importlib
from pathlib import Path

from ance.cli.bench import NAMES

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run all; a claim that does not hold is shown, not hidden."""
    RESULTS.mkdir(exist_ok=True)
    lines = []
    for name in NAMES:
        print(f"== {name}", flush=True)
        result = importlib.import_module(f"benchmarks.{name.replace('-', '_')}").main([])
        (RESULTS / f"{name}.json").write_text(result.to_json() + "\n")
        lines.append(result.line())
    print("\n".join(["", *lines]))


if __name__ == "__main__":
    main()
