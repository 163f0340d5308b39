"""Makes a data set folder from a source: checks every record, tokenises in batches, maps ids to rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ance.data.answers import write_answers
from ance.data.candidates import GivenCandidates
from ance.data.dataset import META, DatasetMeta
from ance.data.invalid import InvalidCount, InvalidTally
from ance.data.judged import JudgedQueries
from ance.data.qrels import Qrels
from ance.data.records import Invalid, Located, Passage, Source
from ance.data.references import References
from ance.data.texts import Texts, token_dtype
from ance.data.texts_writer import TextsWriter
from ance.data.tokenizer import Tokenizer
from ance.errors import AnceError

T = TypeVar("T")
Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class PrepareReport:
    """What `prepare` made, and what it left out."""

    name: str
    counts: dict[str, int]
    """As in `DatasetMeta.counts`."""
    invalid: dict[str, InvalidCount]
    """Reason -> how many records were left out, and the first; without `skip_invalid`, of repeated judgements only."""
    provenance: Mapping[str, Any]
    seconds: float


def prepare(
    source: Source,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    max_tokens: int = 512,
    skip_invalid: bool = False,
    batch: int = 2048,
    progress: Progress | None = None,
) -> PrepareReport:
    """Write the data set of `source` into `folder`.

    Texts are streamed and never held: memory grows by some 50 bytes a passage, for offsets and hashed ids.

    Args:
        folder: absent or empty. It holds a data set only once `dataset.json` is there, which is written last.
        max_tokens: content tokens to keep of a text, special tokens not included.
        skip_invalid: leave out and count records that cannot be used, instead of stopping at the first.
        batch: texts that are tokenised at once.
        progress: called with what is being written and how many are done.

    Raises:
        AnceError: a record cannot be used (the message says where it is), a split has no usable record, or
            `folder` is not empty.
    """
    started = time.monotonic()
    if folder.exists() and any(folder.iterdir()):
        raise AnceError(f"{folder}: is not empty; give a new folder for the data set, or remove this one")
    preparation = _Preparation(tokenizer, folder, max_tokens, batch, InvalidTally(skip_invalid), progress or _silent)
    passages = preparation.passages(source)
    counts = {"passages": len(passages)}
    corpus = References(passages)
    for split in source.splits():
        qrels, candidates = preparation.split(source, split, corpus)
        counts[f"{split}_queries"] = qrels.queries
        counts[f"{split}_judgements"] = len(qrels.passages)
        counts[f"{split}_queries_without_positive"] = int((qrels.positive_counts() == 0).sum())
        if candidates:
            counts[f"{split}_candidates"] = candidates
    meta = DatasetMeta(
        name=source.name,
        tokenizer_sha256=tokenizer.sha256,
        vocab_size=tokenizer.vocab_size,
        **tokenizer.special._asdict(),
        max_tokens=max_tokens,
        splits=source.splits(),
        counts=counts,
        provenance=dict(source.provenance),
    )
    (folder / META).write_text(meta.model_dump_json(indent=1), "utf-8")
    invalid = preparation.tally.counts()
    return PrepareReport(source.name, counts, invalid, source.provenance, time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class _Preparation:
    tokenizer: Tokenizer
    folder: Path
    max_tokens: int
    batch: int
    tally: InvalidTally
    progress: Progress

    def passages(self, source: Source) -> Texts:
        passages = self._write("passages", self.folder / "passages", self._usable(source.passages()))
        if not len(passages):
            raise AnceError(f"{source.name}: the corpus has no usable passage")
        return passages

    def split(self, source: Source, split: str, corpus: References) -> tuple[Qrels, int]:
        """Write a split; its judgements, and how many candidates it has."""
        judged = JudgedQueries(corpus, self.tally)
        for judgements in self._batches(self._usable(source.judgements(split))):
            judged.add(judgements)
        queries = self._queries(source, split, judged)
        qrels = judged.qrels(queries)
        if not qrels.queries:
            raise AnceError(f"{source.name}: split '{split}' has no usable judged query; remove the split or mend it")
        folder = self.folder / "qrels" / split
        folder.mkdir(parents=True)
        qrels.save(folder)
        return qrels, self._candidates(source, split, queries, corpus)

    def _candidates(self, source: Source, split: str, queries: Texts, corpus: References) -> int:
        given = GivenCandidates(References(queries), corpus, self.tally)
        for candidates in self._batches(self._usable(source.candidates(split))):
            given.add(candidates)
            self.progress(f"{split} candidates", len(given))
        if len(given):
            given.build(len(queries)).save(self.folder / "candidates" / split)
        elif given.seen:
            raise AnceError(
                f"{source.name}: none of the {given.seen} candidates of split '{split}' is for one of its queries; "
                "mend or remove their file"
            )
        return len(given)

    def _queries(self, source: Source, split: str, judged: JudgedQueries) -> Texts:
        """Write the queries of the split: all that are judged, or all where none is."""
        answers: dict[str, tuple[str, ...]] = {}

        def kept() -> Iterator[Located[Passage]]:
            for query, where in self._usable(source.queries(split)):
                if query.id in judged or not source.is_judged(split):
                    if query.answers:
                        answers.setdefault(query.id, query.answers)
                    yield Located(Passage(query.id, "", query.text), where)

        folder = self.folder / "queries" / split
        queries = self._write(f"{split} queries", folder, kept())
        if answers:
            write_answers(folder, queries.ids, answers)
        return queries

    def _write(self, what: str, folder: Path, texts: Iterable[Located[Passage]]) -> Texts:
        with TextsWriter(folder, self.tokenizer, self.max_tokens, self.tally) as writer:
            for batch in self._batches(texts):
                writer.write(batch)
                self.progress(what, len(writer))
        return Texts(folder, token_dtype(self.tokenizer.vocab_size))

    def _usable(self, records: Iterable[Located[T] | Invalid]) -> Iterator[Located[T]]:
        for record in records:
            if isinstance(record, Invalid):
                self.tally.report(record)
            else:
                yield record

    def _batches(self, records: Iterable[T]) -> Iterator[list[T]]:
        batch: list[T] = []
        for record in records:
            batch.append(record)
            if len(batch) == self.batch:
                yield batch
                batch = []
        if batch:
            yield batch


def _silent(what: str, done: int) -> None:
    pass
