"""What a report consists of: sections of figures and tables, or a word on what to run to get them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ance.evaluation.report.theme import Theme

Spec = dict[str, Any]
"""A plotly figure as plain data: {"data": [trace, ...], "layout": {...}}."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One picture.

    Attributes:
        name: identifies it on the page; letters and hyphens.
        caption: what it shows, in one sentence.
        draw: the picture in the colours of a theme.
    """

    name: str
    caption: str
    draw: Callable[[Theme], Spec]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a head; the first column names the row, the others are numbers with their units."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """What a section has no data for, and the command that makes it."""

    what: str
    command: str


@dataclass(frozen=True, slots=True)
class Section:
    """One question and what the run answers to it.

    Attributes:
        name: anchor on the page; letters and hyphens.
        title: the question's subject, with the table or figure of the paper that it repeats.
        parts: in the order of reading.
        note: how it was measured.
    """

    name: str
    title: str
    parts: tuple[Figure | Table | Missing, ...]
    note: str = ""
