"""Whether a passage holds an answer, as DPR decides it (Karpukhin et al., EMNLP 2020): by tokens, or by a pattern.

Text and answers are decomposed (NFD) and cut into tokens, which are runs of letters, digits and marks, or single other
signs; white space and control characters are none. A passage holds an answer if the answer's tokens follow each other
in it, case aside. DPR finds an answer without tokens everywhere; here it is found nowhere. An answer that begins with
`regex:` is a regular expression, as those of CuratedTREC, looked for anywhere in the text, case aside.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import regex

from ance.data.texts import Texts
from ance.errors import AnceError

REGEX = "regex:"
_TOKEN = regex.compile(r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]")
_PASSAGES = 200_000
"""Passages whose tokens are remembered: queries share their candidates."""
_PATTERN_SECONDS = 10.0
"""A pattern of a data set must not take longer on one text."""


class _Text(NamedTuple):
    decomposed: str
    tokens: str
    """With a space around each, so that a run of tokens is a substring. No token has a space in it."""


_Answer = str | regex.Pattern[str]
"""Tokens as in `_Text`, or a pattern."""


def tokens(text: str) -> list[str]:
    """The tokens of a text, in lower case."""
    return [token.lower() for token in _TOKEN.findall(_decomposed(text))]


def holds_answer(text: str, answers: Iterable[str]) -> bool:
    """Whether a text holds one of the answers.

    Raises:
        AnceError: an answer is no valid pattern, or takes too long.
    """
    return _holds(_text(text), [_answer(answer) for answer in answers])


class AnswerMatcher:
    """Whether a passage holds an answer to a query, both by row. The title does not count, as in DPR.

    Args:
        passages: the corpus.
        answers: of each query row.
    """

    def __init__(self, passages: Texts, answers: Sequence[list[str]]) -> None:
        self._passage = lru_cache(_PASSAGES)(lambda row: _text(passages.documents[row]["text"]))
        self._answers = lru_cache(1)(lambda row: [_answer(answer) for answer in answers[row]])

    def __call__(self, query_row: int, passage_row: int) -> bool:
        return _holds(self._passage(passage_row), self._answers(query_row))


def _decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def _sequence(text: str) -> str:
    return f" {' '.join(tokens(text))} "


def _text(text: str) -> _Text:
    return _Text(_decomposed(text), _sequence(text))


def _answer(answer: str) -> _Answer:
    if not answer.startswith(REGEX):
        return _sequence(answer)
    try:
        return regex.compile(_decomposed(answer.removeprefix(REGEX)), regex.IGNORECASE | regex.MULTILINE)
    except regex.error as error:
        raise AnceError(f"answer '{answer}' is no regular expression: {error}; mend it in the data set") from error


def _holds(passage: _Text, answers: Iterable[_Answer]) -> bool:
    return any(_found(passage, answer) for answer in answers)


def _found(passage: _Text, answer: _Answer) -> bool:
    if isinstance(answer, str):
        return bool(answer.strip()) and answer in passage.tokens
    try:
        return answer.search(passage.decomposed, timeout=_PATTERN_SECONDS) is not None
    except TimeoutError as error:
        raise AnceError(
            f"answer '{REGEX}{answer.pattern}' takes over {_PATTERN_SECONDS:g} s on a text; mend it in the data set"
        ) from error
