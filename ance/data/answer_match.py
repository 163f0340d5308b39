"""Whether a passage holds an answer, as DPR decides it (Karpukhin et al., EMNLP 2020): by runs of tokens.

Text and answers are decomposed (NFD) and cut into tokens, which are runs of letters, digits and marks, or single other
signs; white space and control characters are none. A passage holds an answer if the answer's tokens follow each other
in it, case aside. DPR finds an answer without tokens everywhere; here it is found nowhere.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

import regex

from ance.data.texts import Texts

_TOKEN = regex.compile(r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]")
_PASSAGES = 200_000
"""Passages whose tokens are remembered: queries share their candidates."""


def tokens(text: str) -> list[str]:
    """The tokens of a text, in lower case."""
    return [token.lower() for token in _TOKEN.findall(unicodedata.normalize("NFD", text))]


def holds_answer(text: str, answers: Iterable[str]) -> bool:
    """Whether a text holds one of the answers."""
    return _holds(_sequence(text), [_sequence(answer) for answer in answers])


class AnswerMatcher:
    """Whether a passage holds an answer to a query, both by row. The title does not count, as in DPR.

    Args:
        passages: the corpus.
        answers: of each query row.
    """

    def __init__(self, passages: Texts, answers: Sequence[list[str]]) -> None:
        self._passage = lru_cache(_PASSAGES)(lambda row: _sequence(passages.documents[row]["text"]))
        self._answers = lru_cache(1)(lambda row: [_sequence(answer) for answer in answers[row]])

    def __call__(self, query_row: int, passage_row: int) -> bool:
        return _holds(self._passage(passage_row), self._answers(query_row))


def _sequence(text: str) -> str:
    """Tokens with a space around each, so that a run of tokens is a substring. No token has a space in it."""
    return f" {' '.join(tokens(text))} "


def _holds(passage: str, answers: Iterable[str]) -> bool:
    return any(answer in passage for answer in answers if answer.strip())
