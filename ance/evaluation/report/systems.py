"""How good each system is (paper, Table 1)."""

from collections.abc import Mapping
from typing import Any

from ance.evaluation.measures import DIAGNOSTICS
from ance.evaluation.report.charts import chart, titled
from ance.evaluation.report.section import Figure, Missing, Section, Spec, Table
from ance.evaluation.report.theme import Theme

NAMES = {"bm25": "BM25", "bm25+rerank": "BM25 + BERT", "start": "start model", "warmup": "warm-up", "ance": "ANCE"}
FIRST = "RR@10"


def systems_section(scores: Mapping[str, Any] | None, command: str) -> Section:
    """The table of systems and measures, and the first measure as bars.

    Args:
        scores: what `ance eval --json` prints, or None.
        command: what to run to get it.
    """
    title = "Ranking quality by system (Table 1)"
    if not scores or not scores["systems"]:
        return Section("systems", title, (Missing("No system of this run is scored yet.", command),))
    systems: dict[str, dict[str, float]] = scores["systems"]
    measures = tuple(name for name in next(iter(systems.values())) if name not in DIAGNOSTICS)
    rows = tuple(
        (NAMES.get(system, system), *(f"{values[measure]:.3f}" for measure in measures))
        for system, values in systems.items()
    )
    split = f"{scores['queries']:,} {scores['split']} queries of {scores['dataset']}"
    table = Table(f"Every measure on {split}; higher is better.", ("system", *measures), rows)
    bars: tuple[Figure, ...] = ()
    if FIRST in measures:  # not on a split that has answers only
        bars = (Figure("systems", _caption(systems, split), lambda theme: _bars(theme, systems)),)
    note = "Every system ranks the whole corpus: dense ones by exact inner product, BM25 with k1 = 0.9 and b = 0.4."
    return Section("systems", title, (table, *bars), note)


def _caption(systems: Mapping[str, Mapping[str, float]], split: str) -> str:
    best = max(systems, key=lambda name: systems[name][FIRST])
    caption = f"{NAMES.get(best, best)} ranks the first relevant passage highest: {FIRST} {systems[best][FIRST]:.3f}"
    if best == "ance" and systems.get("warmup", {}).get(FIRST):
        gain = systems["ance"][FIRST] / systems["warmup"][FIRST] - 1
        caption += f", {gain:+.1%} against the warm-up model"
    return f"{caption}, on {split}."


def _bars(theme: Theme, systems: Mapping[str, Mapping[str, float]]) -> Spec:
    colours = {"bm25": theme.orange, "start": theme.gray, "warmup": theme.purple, "ance": theme.blue}
    values = [measured[FIRST] for measured in systems.values()]
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": [NAMES.get(name, name) for name in systems],
        "x": values,
        "text": [f"{value:.3f}" for value in values],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": [colours.get(name, theme.green) for name in systems]},
        "hovertemplate": f"%{{y}}: {FIRST} %{{x:.4f}}<extra></extra>",
        "showlegend": False,
    }
    # Room for the number beside the longest bar.
    x = titled(f"{FIRST} (mean over queries)", range=[0, 1.35 * max(*values, 0.01)])
    return chart(theme, [trace], x, titled("", autorange="reversed"), height=120 + 40 * len(systems))
