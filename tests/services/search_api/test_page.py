"""The page in a real Chromium, of the real service of a tiny run with a reranker and a recorded training."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from ance.model.cross_encoder import CrossEncoder
from ance.runtime.artifacts import publish
from ance.runtime.contracts import Kind
from ance.runtime.metrics import SearchMetrics
from services.search_api.app import create_app
from services.search_api.routes.pages import FOLDER
from tests.browser import DESK, PHONE, chromium, looking, needs_chromium, shots
from tests.evaluation.report.records import refresh_record, step_record
from tests.services.search_api.live import Live, serving
from tests.services.search_api.tiny_run import QUERIES, TinyRun

pytestmark = needs_chromium

QUERY = QUERIES["q0"]
HOSTILE = "<img src=x onerror=alert(1)> & \"quotes\" 'q' ünïcode 検索"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, fresh: TinyRun, encoder: Path) -> Iterator[tuple[Live, TinyRun]]:
    """A service that has everything; tests share it and leave it as it is, but for newer versions."""
    run = fresh.copy(tmp_path_factory.mktemp("site"))
    run.publish(20)
    publish_reranker(run, encoder)
    record_training(run, steps=range(1, 41), refreshes=[20])
    with serving(lambda draining: create_app(run.open(poll_seconds=0.05), SearchMetrics(), draining)) as live:
        live.wait_for_version(20)
        live.wait_until(lambda: compares(live))
        yield live, run


def compares(live: Live) -> bool:
    return live.client.post("/v1/compare", json={"query": QUERY, "top_k": 2}).status_code == 200


def publish_reranker(run: TinyRun, encoder: Path) -> None:
    torch.manual_seed(0)
    CrossEncoder.start(str(encoder), max_tokens=32).save(run.folder / "reranker")
    pointer = run.layout.pointer("reranker")
    publish(
        run.store,
        run.layout.reranker(20),
        run.folder / "reranker",
        kind=Kind.RERANKER,
        run_id="tiny",
        step=20,
        pointer=pointer,
    )


def record_training(run: TinyRun, *, steps: range, refreshes: list[int]) -> None:
    lines = "".join(json.dumps(step_record(step)) + "\n" for step in steps)
    run.store.write(run.layout.series(steps[-1]), lines.encode())
    for step in refreshes:
        run.store.write(run.layout.refresh_record(step), json.dumps(refresh_record(step)).encode())


def address(live: Live) -> str:
    return str(live.client.base_url)


def test_a_query_is_answered_both_ways_with_times_and_what_they_share(
    site: tuple[Live, TinyRun], browser: Browser, tmp_path: Path
) -> None:
    live, run = site
    with looking(browser) as looked:
        page = looked.page
        page.goto(address(live))
        expect(page.get_by_role("status").first).to_contain_text("Run tiny: serving version")
        page.get_by_label("Query").fill(QUERY)
        page.get_by_role("button", name="Search").click()
        expect(page.locator("#outcome")).to_contain_text("times as fast")
        step = int(page.locator("#serving").get_attribute("data-version") or -1)
        best = run.dataset.passages.documents[run.dataset.passages.row_of(run.expected(step, QUERY, 1)[0][0])]
        dense, rerank = page.locator("#dense"), page.locator("#rerank")
        assert dense.locator("h3").first.inner_text().startswith(best["title"])
        expect(dense.locator(".text").first).to_have_text(best["text"])
        assert dense.locator("li.both").count() == rerank.locator("li.both").count() == overlap(page)
        for column, stages in ((dense, {"encode", "search", "fetch"}), (rerank, {"search", "rerank", "fetch"})):
            shown = {text.split()[0] for text in column.locator(".stages li").all_inner_texts()}
            assert stages <= shown
            assert re.search(r"\d (ms|s|µs)", column.locator("strong").inner_text())
        expect(page.locator("#latency")).to_contain_text("times as fast as reranking")
        expect(page.locator("#latency tbody tr")).to_have_count(2)
        page.screenshot(path=shots(tmp_path) / "search.png", full_page=True)
        assert looked.errors == []


def overlap(page: Page) -> int:
    (count,) = re.findall(r"(\d+) of \d+ passages are in both", page.locator("#outcome").inner_text())
    return int(count)


def test_bars_are_as_long_as_the_answers_took(site: tuple[Live, TinyRun], browser: Browser) -> None:
    live, _ = site
    with looking(browser) as looked:
        page = looked.page
        page.goto(address(live))
        with page.expect_response("**/v1/compare") as answered:
            ask(page, QUERY)
        totals = [answered.value.json()[way]["timings"]["total"] for way in ("dense", "rerank")]
        widths = page.evaluate(
            """() => ["dense", "rerank"].map((id) => [...document.querySelectorAll(`#${id} .bar rect`)]
                .reduce((sum, rect) => sum + rect.getBoundingClientRect().width, 0))"""
        )
        room = page.locator("#rerank .bar").bounding_box()
        assert room is not None
        assert widths == pytest.approx([room["width"] * total / max(totals) for total in totals], rel=0.02)


def ask(page: Page, query: str) -> None:
    page.get_by_label("Query").fill(query)
    page.get_by_label("Query").press("Enter")
    expect(page.locator("#outcome")).to_contain_text("in both")


def test_a_newer_version_is_seen_without_a_reload(site: tuple[Live, TinyRun], browser: Browser, tmp_path: Path) -> None:
    live, run = site
    with looking(browser) as looked:
        page = looked.page
        page.goto(address(live))
        serving = page.locator("#serving")
        expect(serving).to_contain_text("serving version")
        newer = int(serving.get_attribute("data-version") or 0) + 10
        run.publish(newer)
        expect(serving).to_contain_text(f"serving version {newer}")
        expect(serving).to_contain_text(re.compile(r"published \d+ s ago"))
        ask(page, QUERY)
        expect(page.locator("#outcome")).to_contain_text(f"from version {newer}")
        page.screenshot(path=shots(tmp_path) / "swapped.png")
        assert looked.errors == []


def test_the_training_is_drawn_and_grows_while_it_is_looked_at(
    site: tuple[Live, TinyRun], browser: Browser, tmp_path: Path
) -> None:
    live, run = site
    with looking(browser) as looked:
        page = looked.page
        page.goto(f"{address(live)}/#training")
        expect(page.get_by_role("tab", name="Training")).to_have_attribute("aria-selected", "true")
        progress = page.locator("#progress")
        expect(progress).to_contain_text("Training, ANCE stage: step 40")
        expect(page.locator("#charts figure")).to_have_count(3)
        expect(page.locator("#charts svg path")).to_have_count(6)  # the gap, four norms, dev
        legend = page.locator("#charts .legend").all_inner_texts()[1]
        assert legend.split("\n") == ["embeddings", "bottom", "top", "all layers"]
        page.screenshot(path=shots(tmp_path) / "training.png", full_page=True)
        record_training(run, steps=range(41, 61), refreshes=[40, 60])
        expect(progress).to_contain_text("step 60")
        expect(page.locator("#charts")).to_contain_text("0.360 with version 60; the best is 0.360")
        expect(page.locator("#charts circle")).to_have_count(3)
        assert looked.errors == []


def test_the_keyboard_alone_is_enough(site: tuple[Live, TinyRun], browser: Browser) -> None:
    live, _ = site
    with looking(browser) as looked:
        page = looked.page
        page.goto(address(live))
        focused = "document.activeElement.id"
        looked.until(f"{focused} === 'query'")
        page.keyboard.type(QUERY)
        page.keyboard.press("Enter")
        expect(page.locator("#outcome")).to_contain_text("in both")
        page.keyboard.press("Shift+Tab")
        assert page.evaluate(focused) == "search-tab"
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("ArrowRight")
        assert page.evaluate(focused) == "training-tab"
        expect(page.locator("#charts")).to_be_visible()
        expect(page.get_by_role("tabpanel", name="Training")).to_be_visible()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_label("Query")).to_be_visible()
        assert looked.errors == []


def test_everything_that_can_be_used_or_read_has_a_name(site: tuple[Live, TinyRun], browser: Browser) -> None:
    live, _ = site
    with looking(browser) as looked:
        page = looked.page
        page.goto(address(live))
        ask(page, QUERY)
        tree = page.locator("body").aria_snapshot()
        for expected in (
            '- searchbox "Query"',
            '- button "Search"',
            '- tab "Search" [selected]',
            '- tabpanel "Search"',
            '- region "ANCE index"',
            '- region "BM25 + BERT reranker"',
        ):
            assert expected in tree, tree
        assert page.evaluate("document.documentElement.lang") == "en"
        page.get_by_role("tab", name="Training").click()
        for picture in page.get_by_role("img").all():
            assert len(picture.get_attribute("aria-label") or "") > 20


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_without_scrolling_sideways(
    site: tuple[Live, TinyRun], browser: Browser, scheme: str, tmp_path: Path
) -> None:
    live, _ = site
    with looking(browser, PHONE, scheme) as looked:  # type: ignore[arg-type]
        page = looked.page
        page.goto(address(live))
        ask(page, QUERY)
        assert looked.overflowing() == []
        page.screenshot(path=shots(tmp_path) / f"phone-search-{scheme}.png", full_page=True)
        page.get_by_role("tab", name="Training").click()
        expect(page.locator("#charts svg path").first).to_be_visible()
        assert looked.overflowing() == []
        page.screenshot(path=shots(tmp_path) / f"phone-training-{scheme}.png", full_page=True)
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[scheme]
        assert looked.errors == []


def test_markup_in_a_query_or_a_passage_stays_text(site: tuple[Live, TinyRun], browser: Browser) -> None:
    live, _ = site
    with looking(browser) as looked:
        page = looked.page

        def hostile(route: object) -> None:
            answer = live.client.post("/v1/search", json={"query": QUERY, "top_k": 1}).json()
            answer["results"][0]["hits"][0] |= {"title": HOSTILE, "text": HOSTILE}
            route.fulfill(json=answer)  # type: ignore[attr-defined]

        page.route("**/v1/search", hostile)
        page.route("**/v1/compare", lambda route: route.fulfill(status=200, json={"held": "back"}))
        page.goto(address(live))
        page.get_by_label("Query").fill(HOSTILE)
        page.get_by_label("Query").press("Enter")
        expect(page.locator("#dense h3")).to_have_text(HOSTILE)
        expect(page.locator("#dense .text")).to_have_text(HOSTILE)
        assert page.locator("#dense img").count() == 0


def test_when_there_is_no_reranker_the_index_still_answers(
    run: TinyRun, browser: Browser, metrics: SearchMetrics
) -> None:
    run.publish(5)
    with (
        serving(lambda draining: create_app(run.open(poll_seconds=0.05), metrics, draining)) as live,
        looking(browser) as looked,
    ):
        live.wait_for_version(5)
        page = looked.page
        page.goto(address(live))
        page.get_by_label("Query").fill(QUERY)
        page.get_by_label("Query").press("Enter")
        expect(page.locator("#rerank .problem")).to_contain_text("reranker")
        expect(page.locator("#dense li").first).to_be_visible()
        expect(page.locator("#outcome")).to_contain_text("from version 5")


def test_where_a_key_is_needed_the_page_asks_for_it(
    run: TinyRun, browser: Browser, metrics: SearchMetrics, tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text("read open-sesame\n")
    run.publish(5)
    settings = run.open(poll_seconds=0.05, api_keys_file=tmp_path / "keys")
    with serving(lambda draining: create_app(settings, metrics, draining)) as live, looking(browser) as looked:
        live.wait_until(lambda: live.client.get("/readyz").status_code == 200)
        page = looked.page
        page.goto(f"{address(live)}/#training")
        page.get_by_label("This service asks for an API key").fill("open-sesame")
        page.get_by_role("button", name="Use key").click()
        expect(page.locator("#progress")).to_contain_text("Training has not begun")
        expect(page.locator("#key-form")).to_be_hidden()


def test_the_page_needs_no_other_host_and_no_exception_from_a_strict_policy() -> None:
    files = {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()}
    policy = re.search(r'http-equiv="Content-Security-Policy"\s+content="([^"]+)"', files["index.html"])
    assert policy is not None and "unsafe" not in policy[1] and "default-src 'none'" in policy[1]
    for name, text in files.items():
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text), name
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=", files["index.html"])


def test_every_module_that_is_imported_is_there() -> None:
    for path in FOLDER.glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', path.read_text("utf-8")):
            assert (FOLDER / name).is_file(), f"{path.name} imports {name}"


def test_the_window_of_a_desk_holds_both_columns_side_by_side(site: tuple[Live, TinyRun], browser: Browser) -> None:
    live, _ = site
    with looking(browser, DESK) as looked:
        page = looked.page
        page.goto(address(live))
        ask(page, QUERY)
        dense, rerank = page.locator("#dense").bounding_box(), page.locator("#rerank").bounding_box()
        assert dense is not None and rerank is not None
        assert dense["y"] == rerank["y"] and dense["x"] + dense["width"] <= rerank["x"]


def test_an_example_query_is_searched_with_one_press(site: tuple[Live, TinyRun], browser: Browser) -> None:
    live, _ = site
    queries = live.client.get("/v1/examples").json()["queries"]
    with looking(browser) as looked:
        page = looked.page
        page.goto(address(live))
        buttons = page.get_by_role("group", name="Example queries").get_by_role("button")
        expect(buttons).to_have_text(queries)
        buttons.nth(1).press("Enter")
        expect(page.get_by_label("Query")).to_have_value(queries[1])
        expect(page.locator("#outcome")).to_contain_text("times as fast")
        assert looked.errors == []
