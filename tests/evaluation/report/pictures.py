"""Looking into the figures of a section without drawing them."""

from typing import Any

from ance.evaluation.report.section import Figure, Missing, Section, Table
from ance.evaluation.report.theme import THEMES, Theme


def figures(section: Section) -> dict[str, Figure]:
    return {part.name: part for part in section.parts if isinstance(part, Figure)}


def tables(section: Section) -> list[Table]:
    return [part for part in section.parts if isinstance(part, Table)]


def missing(section: Section) -> list[Missing]:
    return [part for part in section.parts if isinstance(part, Missing)]


def traces(figure: Figure, theme: Theme = THEMES[0]) -> dict[str, dict[str, Any]]:
    """The traces of a figure by the name in its legend."""
    return {trace["name"]: trace for trace in figure.draw(theme)["data"]}


def assert_drawable(section: Section) -> None:
    """plotly knows every setting of every figure, in both themes, and each axis says what it shows."""
    from plotly.graph_objects import Figure as PlotlyFigure

    for figure in figures(section).values():
        for theme in THEMES:
            spec = figure.draw(theme)
            PlotlyFigure(spec)
            assert spec["data"], figure.name
            assert spec["layout"]["xaxis"]["title"]["text"], figure.name
        assert figure.caption.endswith(".") and figure.caption[0].isprintable(), figure.caption
