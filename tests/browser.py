"""A real headless Chromium, for what people look at."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
DESK, PHONE = (1100, 900), (360, 740)
PATIENCE = 60.0
"""Seconds that a busy machine may take for what takes one."""

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")


@dataclass
class Looked:
    """A page, and what it complained about."""

    page: Page
    errors: list[str] = field(default_factory=list)

    def until(self, expression: str, seconds: float = PATIENCE) -> None:
        """Return once an expression of the page is true. wait_for_function would need eval, which pages forbid."""
        deadline = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            assert time.monotonic() < deadline, f"never true: {expression}"
            self.page.wait_for_timeout(50)

    def overflowing(self) -> list[str]:
        """What is wider than the window, unless it scrolls inside its own box."""
        found: list[str] = self.page.evaluate(
            """() => [...document.querySelectorAll("body *")]
              .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest("[tabindex='0']"))
              .map((e) => `${e.tagName} ${e.className} ${e.textContent.slice(0, 40)}`)"""
        )
        scrolls = self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        return found + (["the page scrolls sideways"] if scrolls else [])


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser of Debian. Its sandbox needs what a container does not give."""
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE * 1000)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def looking(
    browser: Browser, size: tuple[int, int] = DESK, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Looked]:
    """A new page of a window of this size, in a profile of its own."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    looked = Looked(context.new_page())
    looked.page.set_default_timeout(PATIENCE * 1000)
    looked.page.on(
        "console", lambda message: looked.errors.append(message.text) if message.type in ("error", "warning") else None
    )
    looked.page.on("pageerror", lambda error: looked.errors.append(str(error)))
    looked.page.on("requestfailed", lambda request: looked.errors.append(f"failed: {request.url[:100]}"))
    yield looked
    context.close()


def shots(folder: Path) -> Path:
    """Where a test leaves its screenshots: $ANCE_SCREENSHOTS, which CI keeps, else a folder of its own."""
    kept = Path(os.environ.get("ANCE_SCREENSHOTS", folder))
    kept.mkdir(parents=True, exist_ok=True)
    return kept
