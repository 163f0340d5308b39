"""docs/defects.md: every defect of the original has tests, and they are there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROWS = re.findall(r"^\| (\d+) \|(.*)\|$", (ROOT / "docs" / "defects.md").read_text(), re.MULTILINE)
DEFECTS = 17


def defined_in(path: Path) -> set[str]:
    """Names of the test functions of a module."""
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_every_defect_names_tests_that_exist() -> None:
    assert [int(number) for number, _ in ROWS] == list(range(1, DEFECTS + 1))
    for number, row in ROWS:
        named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row)
        assert named, f"defect {number} has no test"
        for module, name in named:
            assert name in defined_in(ROOT / module), f"defect {number}: {module} has no {name}"
