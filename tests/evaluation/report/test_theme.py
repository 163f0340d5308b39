"""Colours can be told from the page by everybody."""

import dataclasses

import pytest

from ance.evaluation.report.theme import THEMES, Theme


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_what_is_drawn_has_three_to_one_contrast_and_text_four_and_a_half(theme: Theme) -> None:
    for name in ("blue", "orange", "green", "purple", "gray"):
        assert contrast(getattr(theme, name), theme.surface) >= 3, name
    for name in ("ink", "muted"):
        assert contrast(getattr(theme, name), theme.surface) >= 4.5, name


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_every_colour_is_another(theme: Theme) -> None:
    colours = [value for name, value in dataclasses.asdict(theme).items() if name not in ("name", "muted")]
    assert len(set(colours)) == len(colours)
