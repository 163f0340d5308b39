"""`ance report` of a run that real services made."""

import re
from pathlib import Path

import pytest

from tests.browser import PHONE, chromium, looking, needs_chromium, shots
from tests.system.conftest import Prepared, ance

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def report(prepared: Prepared, finished_run: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    probed = ance("probe", "--store", prepared.store, "--run", finished_run, "--queries", "8")
    assert probed.returncode == 0, probed.stderr
    written = ance("report", "--store", prepared.store, "--run", finished_run, "--out", path, timeout=120)
    assert written.returncode == 0, written.stderr
    return path


def test_only_what_the_run_never_made_is_missing(report: Path) -> None:
    missing = re.findall(r'<p class="missing">(.*?)</p>', report.read_text("utf-8"))
    assert len(missing) == 1 and "ance reranker train" in missing[0], missing


def test_it_tells_of_this_run(report: Path) -> None:
    text = report.read_text("utf-8")
    assert "10 of 10 (5 warm-up)" in text
    assert "24 test queries of salad" in text
    assert text.count("data-figure=") >= 10


@needs_chromium
def test_it_opens_on_a_phone_without_errors_and_every_figure_shows_something(report: Path, tmp_path: Path) -> None:
    with chromium() as browser, looking(browser, PHONE) as looked:
        looked.page.goto(report.as_uri())
        looked.until("document.querySelectorAll('#efficiency .main-svg').length > 0")
        looked.page.screenshot(path=shots(tmp_path) / "report-of-a-run.png", full_page=True)
        empty = looked.page.evaluate(
            """() => [...document.querySelectorAll('.plot')].filter((plot) => !plot.querySelector('.trace'))
                .map((plot) => plot.dataset.figure)"""
        )
        assert empty == []
        assert looked.overflowing() == []
        assert looked.errors == []
