"""The report as one HTML file that needs no network: figures, plotly.js, style and all."""

import html
import json
from collections.abc import Sequence
from importlib.resources import files
from string import Template

from ance.errors import AnceError
from ance.evaluation.report.section import Figure, Missing, Section, Table
from ance.evaluation.report.theme import THEMES


def render(title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """The page.

    Args:
        title: its heading.
        facts: what the run is, as pairs of a name and a value.
        sections: in the order of reading.

    Raises:
        AnceError: plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise AnceError("the report needs plotly: run `pip install 'ance-kubernetes[report]'`") from error

    here = files(__package__)
    figures = {
        part.name: {theme.name: part.draw(theme) for theme in THEMES}
        for section in sections
        for part in section.parts
        if isinstance(part, Figure)
    }
    return Template(here.joinpath("page.html").read_text("utf-8")).substitute(
        title=html.escape(title),
        style=here.joinpath("page.css").read_text("utf-8"),
        facts="".join(f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>" for name, value in facts),
        contents="".join(f'<li><a href="#{s.name}">{html.escape(s.title)}</a></li>' for s in sections),
        sections="\n".join(map(_section, sections)),
        figures=_json(figures),
        plotly=get_plotlyjs(),
        script=here.joinpath("page.js").read_text("utf-8"),
    )


def _section(section: Section) -> str:
    parts = "\n".join(map(_part, section.parts))
    note = f'<p class="note">{html.escape(section.note)}</p>' if section.note else ""
    return (
        f'<section id="{section.name}" aria-labelledby="{section.name}-title">'
        f'<h2 id="{section.name}-title">{html.escape(section.title)}</h2>\n{parts}\n{note}</section>'
    )


def _part(part: Figure | Table | Missing) -> str:
    match part:
        case Figure():
            caption = html.escape(part.caption)
            return (
                f"<figure><figcaption>{caption}</figcaption>"
                f'<div class="plot" role="img" aria-label="{caption}" data-figure="{part.name}"></div></figure>'
            )
        case Table():
            head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in part.head)
            rows = "".join(map(_table_row, part.rows))
            caption = html.escape(part.caption)
            return (
                f'<p>{caption}</p><div class="table" role="region" tabindex="0" aria-label="{caption}">'
                f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
            )
        case Missing():
            return (
                f'<p class="missing">{html.escape(part.what)} To get it: <code>{html.escape(part.command)}</code></p>'
            )


def _table_row(row: tuple[str, ...]) -> str:
    name, *values = map(html.escape, row)
    return f'<tr><th scope="row">{name}</th>' + "".join(f"<td>{value}</td>" for value in values) + "</tr>"


def _json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
