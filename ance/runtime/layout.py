"""Where everything lives in the store. All keys are relative to the store's root, with forward slashes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ance.errors import AnceError
from ance.runtime.contracts import NAME, Kind, Part

MANIFEST = "manifest.json"
"""File name of the manifest in an artifact's folder."""
TRAINER_STATE = "trainer_state"
"""Folder of a checkpoint that only the trainer reads: the optimiser is twice as large as the weights."""

Pointer = Literal["checkpoint", "refresh", "negatives", "index", "reranker", "scores", "pin", "best"]
"""What has a `latest` pointer. `refresh` names the checkpoint that the pass under way encodes with, `pin` the index
that a rollback holds the search replicas at, `best` the index that is best on the dev split so far."""

_FOLDERS = {
    Kind.CHECKPOINT: "checkpoints",
    Kind.EMBEDDINGS: "embeddings",
    Kind.INDEX: "indexes",
    Kind.NEGATIVES: "negatives",
    Kind.RERANKER: "reranker",
    Kind.SCORES: "scores",
}


@dataclass(frozen=True, slots=True)
class RunLayout:
    """The keys of one run.

    Raises:
        AnceError: the run's id cannot name a folder.
    """

    run: str

    def __post_init__(self) -> None:
        _check_name("run id", self.run)

    @property
    def root(self) -> str:
        """Folder of the run."""
        return f"runs/{self.run}"

    @property
    def run_yaml(self) -> str:
        """The run's configuration, verbatim."""
        return f"{self.root}/run.yaml"

    def versions(self, kind: Kind) -> str:
        """Folder that holds every version of a kind, one folder a step. Data sets belong to no run."""
        return f"{self.root}/{_FOLDERS[kind]}"

    def version(self, kind: Kind, step: int) -> str:
        """Folder of one version."""
        return f"{self.versions(kind)}/{step}"

    def tombstone(self, kind: Kind, step: int) -> str:
        """File that says since when retention means to delete a version."""
        return f"{self.version(kind, step)}/tombstone.json"

    @property
    def holds(self) -> str:
        """Folder of what running processes say they use."""
        return f"{self.root}/holds"

    def hold(self, holder: str) -> str:
        """File in which one process says which versions it uses."""
        return f"{self.holds}/{holder}.json"

    def checkpoint(self, step: int) -> str:
        """Folder of a checkpoint."""
        return self.version(Kind.CHECKPOINT, step)

    def embeddings(self, step: int) -> str:
        """Folder of the vectors that one checkpoint gives to every part."""
        return self.version(Kind.EMBEDDINGS, step)

    def shard(self, step: int, part: Part, shard: int) -> str:
        """File of the vectors of one encode task."""
        return f"{self.embeddings(step)}/{part}/{shard}.npy"

    def index(self, step: int) -> str:
        """Folder of an index."""
        return self.version(Kind.INDEX, step)

    def negatives(self, step: int) -> str:
        """Folder of the negatives mined with one checkpoint."""
        return self.version(Kind.NEGATIVES, step)

    def reranker(self, step: int) -> str:
        """Folder of a cross-encoder; `step` is that of the negatives it was trained on."""
        return self.version(Kind.RERANKER, step)

    @property
    def teacher(self) -> str:
        """Folder of the cross-encoder that scores the run's negatives."""
        return f"{self.root}/teacher"

    def scores(self, step: int) -> str:
        """Folder of all that the teacher has scored, up to the negatives of a step."""
        return self.version(Kind.SCORES, step)

    def score_parts(self, step: int) -> str:
        """Folder of what scoring tasks are about, and of what came of them."""
        return f"{self.scores(step)}/parts"

    @property
    def bm25_negatives(self) -> str:
        """Folder of the warm-up's negatives, which no checkpoint has mined."""
        return f"{self.versions(Kind.NEGATIVES)}/bm25"

    @property
    def probe(self) -> str:
        """File with the result of the last `ance probe`."""
        return f"{self.root}/probe.json"

    @property
    def refresh_records(self) -> str:
        """Folder of the records of all refreshes."""
        return f"{self.root}/refreshes"

    def refresh_record(self, step: int) -> str:
        """File that says how the refresh of a step went."""
        return f"{self.refresh_records}/{step}.json"

    @property
    def all_series(self) -> str:
        """Folder of the trainer's time series."""
        return f"{self.root}/series"

    def series(self, step: int) -> str:
        """File with one JSON line for each training step up to `step` since the checkpoint before."""
        return f"{self.all_series}/{step:09}.jsonl"

    def pointer(self, name: Pointer) -> str:
        """File that names the newest published version."""
        return f"{self.root}/latest/{name}.json"

    @staticmethod
    def dataset(name: str) -> str:
        """Folder of a prepared data set. It is shared by runs.

        Raises:
            AnceError: the name cannot name a folder.
        """
        _check_name("data set name", name)
        return f"datasets/{name}"


def manifest_of(prefix: str) -> str:
    """Key of the manifest of the artifact in a folder."""
    return f"{prefix}/{MANIFEST}"


def _check_name(what: str, name: str) -> None:
    if not re.fullmatch(NAME, name):
        raise AnceError(
            f"{what} {name!r}: use 1 to 63 letters, digits, '.', '_' or '-', starting with a letter or digit"
        )
