"""The report as a file: complete, safe, and right in a real browser."""

import functools
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from ance.evaluation.report.convergence import convergence_section
from ance.evaluation.report.efficiency import efficiency_section
from ance.evaluation.report.freshness import freshness_section
from ance.evaluation.report.negatives import negatives_section, score_tail
from ance.evaluation.report.page import render
from ance.evaluation.report.probe import probe_section
from ance.evaluation.report.query_map import ANCE, BM25, POSITIVE, RANDOM, Neighbourhood, map_section
from ance.evaluation.report.section import Missing, Section
from ance.evaluation.report.systems import systems_section
from tests.browser import DESK, PHONE, chromium, looking, needs_chromium, shots
from tests.evaluation.report.pictures import figures
from tests.evaluation.report.records import probe, refresh_records, scores, step_records

CUT_TEXT = """() => [...document.querySelectorAll('.plot')].flatMap((plot) => {
  const box = plot.getBoundingClientRect();
  return [...plot.querySelectorAll('text')].filter((text) => {
    const at = text.getBoundingClientRect();
    return at.width && (at.left < box.left - 1 || at.right > box.right + 1
      || at.top < box.top - 1 || at.bottom > box.bottom + 1);
  }).map((text) => `${plot.dataset.figure}: ${text.textContent}`);
})"""
"""Texts of figures that reach out of them."""
HOSTILE = "</script><script>alert('x')</script>&<b>"


@functools.cache
def sections() -> tuple[Section, ...]:
    rng = np.random.default_rng(0)
    kinds = [POSITIVE] + [ANCE] * 12 + [BM25] * 12 + [RANDOM] * 12
    vectors = rng.normal(size=(len(kinds), 8)).astype(np.float32)
    around = Neighbourhood(60, HOSTILE, vectors[0], kinds, [HOSTILE] * len(kinds), vectors)
    tail = score_tail(rng.normal(size=(5, 400)).astype(np.float32), 60)
    steps, refreshes = step_records(), refresh_records()
    return (
        systems_section(scores(), "ance eval"),
        freshness_section(steps, refreshes, "ance up"),
        convergence_section(steps, "ance up"),
        probe_section(probe(), "ance probe"),
        negatives_section(tail, refreshes, 20, "ance up"),
        map_section(around, "ance up"),
        efficiency_section(steps, refreshes, {"search": [0.001] * 9}, 100, "ance up", "ance reranker train"),
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(f"ANCE run {HOSTILE}", [("data set", HOSTILE)], sections()), "utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def test_every_part_is_on_the_page_in_its_section(page: Path) -> None:
    text = page.read_text("utf-8")
    for section in sections():
        assert text.count(f'<section id="{section.name}"') == 1
        assert f'href="#{section.name}"' in text
        for name in figures(section):
            assert text.count(f'data-figure="{name}"') == 1


def test_text_of_the_data_never_becomes_markup(page: Path) -> None:
    text = page.read_text("utf-8")
    assert "alert('x')" not in text.replace(html.escape(HOSTILE), "")
    (figures_json,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)
    assert "<" not in figures_json
    assert set(json.loads(figures_json)) >= {"systems", "map", "overlap"}


def test_the_file_names_no_other_file_to_load(page: Path) -> None:
    head = page.read_text("utf-8").split("<script>")[0]
    assert not re.findall(r'(?:src|href)="(?!#|data:)', head)


def test_what_is_missing_comes_with_the_command_that_makes_it() -> None:
    text = render("t", [], [Section("map", "t", (Missing("No <vectors>.", "ance up --run a&b"),))])
    assert "No &lt;vectors&gt;. To get it: <code>ance up --run a&amp;b</code>" in text


@needs_chromium
@pytest.mark.parametrize(("size", "scheme"), [(DESK, "light"), (PHONE, "dark")])
def test_it_opens_without_errors_and_every_figure_is_drawn_and_fits(
    browser: Browser, page: Path, size: tuple[int, int], scheme: str, tmp_path: Path
) -> None:
    with looking(browser, size, scheme) as looked:  # type: ignore[arg-type]
        looked.page.goto(page.as_uri())
        looked.until(
            "document.querySelectorAll('.plot .main-svg').length >= 3 * document.querySelectorAll('.plot').length"
        )
        looked.page.screenshot(path=shots(tmp_path) / f"report-{size[0]}-{scheme}.png", full_page=True)
        drawn = looked.page.evaluate(
            """() => Object.fromEntries([...document.querySelectorAll('.plot')].map(
                (plot) => [plot.dataset.figure, plot.querySelectorAll('.trace').length]))"""
        )
        assert set(drawn) == {name for section in sections() for name in figures(section)}
        assert all(drawn.values()), drawn
        assert looked.overflowing() == []
        assert looked.page.evaluate(CUT_TEXT) == []
        assert looked.errors == []


@needs_chromium
def test_the_figures_follow_when_the_system_turns_dark(browser: Browser, page: Path) -> None:
    paper = "getComputedStyle(document.querySelector('#convergence .main-svg')).backgroundColor"
    with looking(browser) as looked:
        looked.page.goto(page.as_uri())
        looked.page.wait_for_selector("#convergence .main-svg")
        assert looked.page.evaluate(paper) == "rgb(255, 255, 255)"
        looked.page.emulate_media(color_scheme="dark")
        looked.until(f"{paper} === 'rgb(13, 17, 23)'")
        assert looked.errors == []
