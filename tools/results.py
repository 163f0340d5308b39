"""Write docs/results.md from results/*.yaml, one file a data set, as the benchmark of negatives measured it.

python -m tools.results                       write the page
python -m tools.results --check               exit 1 if what is committed differs
python -m tools.results --add tldr=build/negatives/tldr/record.json
                                              write results/tldr.yaml from a record of the benchmark, then the page
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError

from tools.generated_page import page_options, write_or_check
from tools.results_data import Results
from tools.results_page import page

ROOT = Path(__file__).resolve().parents[1]


def read_results(folder: Path) -> dict[str, Results]:
    """Data set -> its results.

    Raises:
        SystemExit: a file is not what it should be; the message names it.
    """
    return {path.stem: _parsed(path, yaml.safe_load(path.read_text())) for path in sorted(folder.glob("*.yaml"))}


def add(name: str, record: Path, folder: Path) -> None:
    """Write the results of a data set from a record of the benchmark."""
    results = _parsed(record, json.loads(record.read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(results.model_dump(mode="json"), sort_keys=False, width=120)
    (folder / f"{name}.yaml").write_text(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page or, with --check, compare it. Returns the exit code."""
    parser = page_options("tools.results", ROOT / "docs/results.md")
    parser.add_argument("--add", action="append", default=[], metavar="NAME=RECORD", help="take over a record first")
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="folder of the YAML files")
    options = parser.parse_args(argv)
    for pair in options.add:
        name, _, record = pair.partition("=")
        add(name, Path(record), options.results)
    return write_or_check(page(read_results(options.results)), options, "tools.results", options.results)


def _parsed(path: Path, values: object) -> Results:
    try:
        return Results.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        raise SystemExit(f"{path}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error


if __name__ == "__main__":
    sys.exit(main())
