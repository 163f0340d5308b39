"""What the benchmark of negatives has measured so far, in one JSON file: what is there is not measured again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ance.errors import AnceError
from benchmarks.negative_variants import VARIANTS
from tools.results_data import kind_of

Scores = dict[str, dict[str, float]]
"""Split, or kind of negatives -> measure -> value."""


class Record:
    """Scores by variant and seed. Every change is in the file at once.

    Args:
        path: of the file; what an earlier start measured is read from it.
        about: what all measurements have in common: data set, configuration, warm-up, schedule of refreshes.

    Raises:
        AnceError: the file is of other measurements.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self._path = path
        self.values: dict[str, Any] = {"about": dict(about), "bm25": {}, "hardness": {}, "variants": {}}
        if not path.exists():
            return
        self.values = json.loads(path.read_text())
        for key, value in about.items():
            if (before := self.values["about"].get(key)) != value:
                raise AnceError(f"{path}: was measured with {key} {before}, not {value}; choose another --folder")

    def bm25(self, split: str) -> dict[str, float] | None:
        """Measures of BM25's own ranking of a split."""
        scores: dict[str, float] | None = self.values["bm25"].get(split)
        return scores

    def set_bm25(self, split: str, scores: dict[str, float]) -> None:
        """Keep the measures of BM25's own ranking."""
        self.values["bm25"][split] = scores
        self._write()

    def has_hardness(self) -> bool:
        """Whether it is known how hard the negatives are that the second stage begins with."""
        return bool(self.values.get("hardness"))

    def set_hardness(self, hardness: Scores) -> None:
        """Keep that; kind of negatives -> measure -> value."""
        self.values["hardness"] = hardness
        self._write()

    def scores(self, variant: str, seed: int) -> Scores:
        """What is known of a variant, empty where nothing is."""
        seeds = self.values["variants"].get(variant, {}).get("seeds", {})
        scores: Scores = seeds.get(str(seed), {}).get("scores", {})
        return scores

    def add(
        self,
        variant: str,
        group: str,
        settings: Mapping[str, Any],
        seed: int,
        scores: Scores,
        trained: Mapping[str, Any],
    ) -> None:
        """Keep scores of a variant, beside those of other splits.

        Args:
            trained: steps, seconds, machine, commit, command; kept from the first time, when it was trained.
        """
        of_variant = self.values["variants"].setdefault(
            variant, {"group": group, "settings": dict(settings), "seeds": {}}
        )
        entry = of_variant["seeds"].setdefault(str(seed), {**trained, "scores": {}})
        entry["scores"] |= scores
        self.values["variants"] = dict(sorted(self.values["variants"].items(), key=lambda item: _place(item[0])))
        self._write()

    def _write(self) -> None:
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(self.values, indent=1) + "\n")
        part.replace(self._path)


def _place(variant: str) -> int:
    """Where the variant's kind is shown; start and warm-up, which no variant has trained, come first."""
    kind = kind_of(variant)
    return list(VARIANTS).index(kind) if kind in VARIANTS else -1
