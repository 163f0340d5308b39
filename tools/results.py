"""Write docs/results.md from results/*.yaml, one file a data set, as the benchmark of negatives measured it.

python -m tools.results                       write the page
python -m tools.results --check               exit 1 if what is committed differs
python -m tools.results --add tldr=build/negatives/tldr/record.json
                                              write results/tldr.yaml from a record of the benchmark, then the page
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError

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
    parser = argparse.ArgumentParser(prog="tools.results", description="Generate docs/results.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on drift")
    parser.add_argument("--add", action="append", default=[], metavar="NAME=RECORD", help="take over a record first")
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="folder of the YAML files")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/results.md", help="the page")
    options = parser.parse_args(argv)
    for pair in options.add:
        name, _, record = pair.partition("=")
        add(name, Path(record), options.results)
    text = page(read_results(options.results))
    if not options.check:
        options.output.write_text(text)
        return 0
    if options.output.is_file() and options.output.read_text() == text:
        return 0
    print(f"{options.output}: differs from results/. Run `python -m tools.results` and commit it.", file=sys.stderr)
    return 1


def _parsed(path: Path, values: object) -> Results:
    try:
        return Results.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        raise SystemExit(f"{path}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error


if __name__ == "__main__":
    sys.exit(main())
