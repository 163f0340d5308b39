"""Colours of the figures on a light and on a dark page: told apart by people with any colour vision."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Theme:
    """One set of colours, each with at least 3:1 contrast on `surface` (WCAG 2.2, 1.4.11).

    The hues are those of Okabe and Ito (2008), darker or lighter to fit the page.
    """

    name: str
    surface: str
    ink: str
    muted: str
    grid: str
    blue: str
    orange: str
    green: str
    purple: str
    gray: str


LIGHT = Theme(
    name="light",
    surface="#ffffff",
    ink="#1b1f24",
    muted="#57606a",
    grid="#d8dee4",
    blue="#0072b2",
    orange="#c75800",
    green="#00855f",
    purple="#a8407f",
    gray="#6e7781",
)
DARK = Theme(
    name="dark",
    surface="#0d1117",
    ink="#e6edf3",
    muted="#9198a1",
    grid="#30363d",
    blue="#56b4e9",
    orange="#e69f00",
    green="#2cc295",
    purple="#e58fc0",
    gray="#9198a1",
)
THEMES = (LIGHT, DARK)
