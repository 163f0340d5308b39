"""Collects the judgements of a split, before it is known which rows its queries get."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np

from ance.data.invalid import InvalidTally
from ance.data.qrels import Qrels
from ance.data.records import Invalid, Judgement, Located, Reason
from ance.data.references import References, named
from ance.data.texts import Texts


class JudgedQueries:
    """The judged queries of one split. Memory grows with the split's judgements, not with the corpus.

    Args:
        passages: the corpus that the judgements are about.
        tally: is told of judgements that are left out.
    """

    def __init__(self, passages: References, tally: InvalidTally) -> None:
        self._passages = passages
        self._tally = tally
        self._numbers: dict[str, int] = {}
        self._first_where: list[str] = []
        self._judged: dict[tuple[int, int], int] = {}
        self._query_numbers = array("q")
        self._passage_rows = array("q")
        self._grades = array("i")

    def __contains__(self, query_id: str) -> bool:
        """Whether the query has a judgement."""
        return query_id in self._numbers

    def __len__(self) -> int:
        """Number of judged queries."""
        return len(self._numbers)

    def add(self, batch: Sequence[Located[Judgement]]) -> None:
        """Add the valid judgements of a batch. One that repeats an earlier one is counted and left out.

        Raises:
            AnceError: one is about an unknown passage or contradicts an earlier one, and the tally does not leave
                such out.
        """
        rows = self._passages.rows([located.record.passage for located in batch])
        for row, (judgement, where) in zip(rows.tolist(), batch, strict=True):
            query_id, passage, grade = judgement
            if row < 0:
                detail = f"no passage of the corpus has the {named(passage)}"
                self._tally.report(Invalid(Reason.UNKNOWN_PASSAGE, where, detail))
                continue
            number = self._numbers.get(query_id, len(self._numbers))
            if (before := self._judged.get((number, row))) is not None:
                detail = f"query '{query_id}' and the passage of {named(passage)} are judged before, as {before}"
                same = before == grade
                reason = Reason.REPEATED_JUDGEMENT if same else Reason.CONTRADICTORY_JUDGEMENT
                self._tally.report(Invalid(reason, where, detail if same else f"{detail}, and here as {grade}"))
                continue
            if number == len(self._numbers):
                self._numbers[query_id] = number
                self._first_where.append(where)
            self._judged[number, row] = grade
            self._query_numbers.append(number)
            self._passage_rows.append(row)
            self._grades.append(grade)

    def qrels(self, queries: Texts) -> Qrels:
        """The judgements by row of `queries`.

        Raises:
            AnceError: a judged query is not among `queries`, and the tally does not leave such out.
        """
        rows = queries.rows_of(list(self._numbers))
        for (query_id, number), row in zip(self._numbers.items(), rows, strict=True):
            if row < 0:
                detail = f"query '{query_id}' is judged, but no usable query has this id"
                self._tally.report(Invalid(Reason.UNKNOWN_QUERY, self._first_where[number], detail))
        query_rows = rows[np.array(self._query_numbers, np.int64)]
        known = query_rows >= 0
        passage_rows = np.array(self._passage_rows, np.int64)
        grades = np.array(self._grades, np.int32)
        return Qrels.build(len(queries), query_rows[known], passage_rows[known], grades[known])
