"""Write the dashboards of the chart.

python -m tools.dashboards            write helm/ance/dashboards/*.json
python -m tools.dashboards --check    exit 1 if what is committed differs
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.dashboards import convergence, overview, refresh, search
from tools.dashboards.model import Dashboard

FOLDER = Path(__file__).resolve().parents[2] / "helm/ance/dashboards"
DASHBOARDS: dict[str, Dashboard] = {
    module.__name__.rpartition(".")[2]: module.DASHBOARD for module in (overview, convergence, refresh, search)
}


def main(argv: Sequence[str] | None = None) -> int:
    """Write or, with --check, compare. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="tools.dashboards", description="Generate the Grafana dashboards.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on drift")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of the JSON files")
    options = parser.parse_args(argv)
    drifted = []
    for name, dashboard in DASHBOARDS.items():
        path = options.output / f"{name}.json"
        text = json.dumps(dashboard.to_json(), indent=2) + "\n"
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif not path.is_file() or path.read_text() != text:
            drifted.append(f"{path}: differs from tools/dashboards/{name}.py")
    if drifted:
        print(*drifted, "Run `python -m tools.dashboards` and commit the result.", sep="\n", file=sys.stderr)
    return 1 if drifted else 0


if __name__ == "__main__":
    sys.exit(main())
