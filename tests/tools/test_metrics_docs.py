from pathlib import Path

import pytest

from ance.runtime.metrics import TrainerMetrics
from ance.runtime.metrics.catalogue import catalogue
from tools.metrics_docs import main, page


def test_the_committed_page_is_what_the_registries_say() -> None:
    assert main(["--check"]) == 0


def test_a_changed_or_missing_page_is_drift_that_names_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "metrics.md"
    assert main(["--output", str(path), "--check"]) == 1
    assert main(["--output", str(path)]) == 0
    path.write_text(path.read_text().replace("Training loss", "Loss"))
    assert main(["--output", str(path), "--check"]) == 1
    assert "python -m tools.metrics_docs" in capsys.readouterr().err


def test_the_page_has_every_family_that_a_registry_shows() -> None:
    shown = {family.name for family in TrainerMetrics().registry.collect()}
    entries = list(catalogue(TrainerMetrics()))
    assert {entry.name.removesuffix("_total").removesuffix("_info") for entry in entries} == shown
    assert all(f"| `{entry.name}` | {entry.kind} |" in page() for entry in entries)
