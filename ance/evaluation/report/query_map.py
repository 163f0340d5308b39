"""Where one query, its positives and three kinds of negatives lie (paper, Figure 1)."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ance.evaluation.report.charts import LEGEND, chart, numbers, titled
from ance.evaluation.report.section import Figure, Missing, Section, Spec
from ance.evaluation.report.theme import Theme

POSITIVE, ANCE, BM25, RANDOM = "positive", "ANCE", "BM25", "random"
KINDS = (POSITIVE, ANCE, BM25, RANDOM)
"""Kinds of passages; one found by several counts as the first of these."""
LABEL_CHARACTERS = 80
SEED = 42


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """One query and passages around it under one checkpoint.

    Attributes:
        step: of the checkpoint.
        query: its text.
        vector: of the query, float32 [D].
        kinds: of each passage, one of `KINDS`.
        labels: title or beginning of each passage.
        vectors: float32 [n, D].
    """

    step: int
    query: str
    vector: NDArray[np.float32]
    kinds: Sequence[str]
    labels: Sequence[str]
    vectors: NDArray[np.float32]


def distinct_rows(rows: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Passage rows by kind, padding (-1) dropped and each passage kept under its first kind only."""
    taken = np.empty(0, np.int64)
    distinct = {}
    for kind in KINDS:
        found = np.unique(rows.get(kind, taken[:0]))
        distinct[kind] = found[(found >= 0) & ~np.isin(found, taken)]
        taken = np.concatenate([taken, distinct[kind]])
    return distinct


def map_section(around: Neighbourhood | None, command: str) -> Section:
    """The neighbourhood in two dimensions.

    Args:
        around: the query and its passages, or None.
        command: what to run to get them.
    """
    title = "One query, its positives and its negatives (Figure 1)"
    if around is None:
        return Section("map", title, (Missing("No version with embeddings and negatives is in the store.", command),))
    points = project(np.concatenate([around.vector[None], around.vectors]))
    figure = Figure("map", _caption(around), lambda theme: _map(theme, around, points))
    note = (
        f"t-SNE (cosine distance, seed {SEED}) of the vectors of checkpoint {around.step}: near points are similar, "
        "distances between far groups mean nothing. The query is the training query with the most positives, the "
        "first of them if there are several; a passage of several kinds is drawn as the first in the legend."
    )
    return Section("map", title, (figure,), note)


def project(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """t-SNE (van der Maaten and Hinton, 2008) of vectors float32 [n, D] to float32 [n, 2], for n of at least 4."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(vectors) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, metric="cosine", init="random", random_state=SEED, n_jobs=1)
    return np.asarray(tsne.fit_transform(vectors), np.float32)


def _caption(around: Neighbourhood) -> str:
    unit = around.vectors / np.maximum(np.linalg.norm(around.vectors, axis=1, keepdims=True), 1e-12)
    cosine = unit @ (around.vector / max(float(np.linalg.norm(around.vector)), 1e-12))
    kinds = np.array(around.kinds)
    means = [f"{kind} {cosine[kinds == kind].mean():z.2f} (n = {(kinds == kind).sum()})" for kind in _present(around)]
    return f"“{_short(around.query)}” and its passages; mean cosine with the query: {', '.join(means)}."


def _map(theme: Theme, around: Neighbourhood, points: NDArray[np.float32]) -> Spec:
    styles = {
        POSITIVE: ("positive", theme.green, "diamond", 13),
        ANCE: ("ANCE negative", theme.blue, "circle", 8),
        BM25: ("BM25 negative", theme.orange, "square", 8),
        RANDOM: ("random negative", theme.gray, "x", 7),
    }
    kinds = np.array(around.kinds)
    traces = []
    for kind in reversed(_present(around)):  # the fewer of a kind, the later it is drawn, over the others
        chosen = np.flatnonzero(kinds == kind)
        labels = [around.labels[i] for i in chosen.tolist()]
        traces.append(_points(theme, styles[kind], points[1 + chosen], labels))
    traces.append(_points(theme, ("query", theme.ink, "star", 15), points[:1], [around.query]))
    hidden = {"showticklabels": False, "zeroline": False}
    x, y = titled("t-SNE 1 (no unit)", **hidden), titled("t-SNE 2 (no unit)", **hidden)
    return chart(theme, traces, x, y, height=480, legend={**LEGEND, "traceorder": "reversed"})


def _points(theme: Theme, style: tuple[str, str, str, int], points: NDArray[np.float32], labels: Sequence[str]) -> Spec:
    name, colour, symbol, size = style
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": numbers(points[:, 0]),
        "y": numbers(points[:, 1]),
        # plotly reads markup in labels: escaped, they show as they are
        "text": [html.escape(_short(label)) for label in labels],
        "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
        "marker": {"color": colour, "symbol": symbol, "size": size, "line": {"width": 1, "color": theme.surface}},
    }


def _present(around: Neighbourhood) -> list[str]:
    return [kind for kind in KINDS if kind in around.kinds]


def _short(text: str) -> str:
    return text if len(text) <= LABEL_CHARACTERS else text[: LABEL_CHARACTERS - 1] + "…"
