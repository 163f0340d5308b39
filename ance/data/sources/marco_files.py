"""Which files of MS MARCO's two ranking tasks a folder holds, by the names under which they are published.

Passages: `collection.tsv`, `queries.*.tsv`, `qrels.*.tsv`, `top1000.*`, `triples.*.tsv`, `qidpidtriples.*.tsv`.
Documents: `msmarco-docs.tsv`, `msmarco-doc*-queries.tsv`, `msmarco-doc*-qrels.tsv`, `msmarco-doc*-top100`. TREC DL:
`msmarco-test2019-queries.tsv`, `2019qrels-pass.txt` or `2019qrels-docs.txt`, `msmarco-*test2019-top*`. Each may be
compressed, its name ending in `.gz`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from ance.data.sources.naming import in_usual_order
from ance.errors import AnceError

COLLECTION, DOCUMENTS = "collection.tsv", "msmarco-docs.tsv"
LAYOUT = (
    f"expected {COLLECTION} with queries.SPLIT.tsv and qrels.SPLIT.tsv, or {DOCUMENTS} with "
    "msmarco-docSPLIT-queries.tsv and msmarco-docSPLIT-qrels.tsv, each as it is or .gz"
)


class CandidateFormat(StrEnum):
    """What a line of a file of candidates is."""

    TOP = "query id, passage id, query, passage"
    RUN = "query id, Q0, passage id, rank, score, tag"
    TRIPLE_IDS = "query id, positive id, negative id"
    TRIPLE_TEXTS = "query, positive, negative"


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """The files of a split."""

    queries: Path
    qrels: Path
    candidates: dict[Path, CandidateFormat] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MarcoFiles:
    """The files of a folder."""

    corpus: Path
    splits: dict[str, SplitFiles]

    @property
    def of_documents(self) -> bool:
        """Whether the corpus is of documents with URL and title."""
        return self.corpus.name.startswith(DOCUMENTS)


# Group 1 is the split, as the file names it.
_QUERIES = (r"queries\.(.+)\.tsv", r"msmarco-doc(train|dev)-queries\.tsv", r"msmarco-test(\d{4})-queries\.tsv")
_QRELS = (r"qrels\.(.+)\.tsv", r"msmarco-doc(train|dev)-qrels\.tsv", r"(\d{4})qrels-(?:pass|docs)\.txt")
_CANDIDATES = {
    r"top1000\.([^.]+)(?:\.tsv)?": CandidateFormat.TOP,
    r"msmarco-passagetest(\d{4})-top1000\.tsv": CandidateFormat.TOP,
    r"msmarco-doc(train|dev|test\d{4})-top100": CandidateFormat.RUN,
    r"qidpidtriples\.([^.]+)\..*tsv": CandidateFormat.TRIPLE_IDS,
    r"triples\.([^.]+)\..*tsv": CandidateFormat.TRIPLE_TEXTS,
}


def find_files(folder: Path) -> MarcoFiles:
    """The files of a folder, by split.

    `queries.dev.small.tsv` and its qrels are the split `dev`, on which results are reported; where the whole dev set is
    there, too, that is `dev-full`. TREC DL's are `trec-dl-2019` and so on.

    Raises:
        AnceError: there is no such folder, no corpus or two, or qrels and queries do not belong together.
    """
    if not folder.is_dir():
        raise AnceError(f"{folder}: no such folder; {LAYOUT}")
    paths = {path.name.removesuffix(".gz"): path for path in sorted(folder.iterdir()) if path.is_file()}
    corpora = [paths[name] for name in (COLLECTION, DOCUMENTS) if name in paths]
    if len(corpora) != 1:
        found = "holds both passages and documents" if corpora else "holds no corpus"
        raise AnceError(f"{folder}: {found}; {LAYOUT}")
    queries, qrels = _by_split(paths, _QUERIES), _by_split(paths, _QRELS)
    for split, path in qrels.items():
        if split not in queries:
            raise AnceError(f"{path}: there are no queries beside it; {LAYOUT}")
    if not qrels:
        raise AnceError(f"{folder}: holds no qrels; {LAYOUT}")
    names = {_split_name(split, qrels): split for split in qrels}
    splits = {name: SplitFiles(queries[names[name]], qrels[names[name]]) for name in in_usual_order(names)}
    for pattern, format_ in _CANDIDATES.items():
        for split, path in _matching(paths, pattern):
            name = _split_name(split.removeprefix("test"), {})
            if name in splits:
                splits[name].candidates[path] = format_
    return MarcoFiles(corpora[0], splits)


def _by_split(paths: dict[str, Path], patterns: tuple[str, ...]) -> dict[str, Path]:
    return {split: path for pattern in patterns for split, path in _matching(paths, pattern)}


def _matching(paths: dict[str, Path], pattern: str) -> list[tuple[str, Path]]:
    """The split and the path of each file whose name fits."""
    matches = ((re.fullmatch(pattern, name), path) for name, path in paths.items())
    return [(match[1], path) for match, path in matches if match]


def _split_name(of_files: str, all_of_files: dict[str, Path]) -> str:
    """Name of the split whose files name it so."""
    if of_files.isdecimal():
        return f"trec-dl-{of_files}"
    if f"{of_files}.small" in all_of_files:
        return f"{of_files}-full"
    return of_files.removesuffix(".small").replace(".", "-")
