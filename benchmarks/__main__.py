"""Run every benchmark, print one table, write results/benchmarks/NAME.json and docs/benchmarks.md: `make bench`."""

import importlib
import json
from pathlib import Path

from ance.cli.bench import NAMES
from tools import benchmarks_page

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def main() -> None:
    """Run all; a claim that does not hold is shown, not hidden."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    lines = []
    for name in NAMES:
        print(f"== {name}", flush=True)
        result = importlib.import_module(f"benchmarks.{name.replace('-', '_')}").main([])
        (RESULTS / f"{name}.json").write_text(json.dumps(json.loads(result.to_json()), indent=1) + "\n")
        lines.append(result.line())
    print("\n".join(["", *lines]))
    benchmarks_page.main([])


if __name__ == "__main__":
    main()
