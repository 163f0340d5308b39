"""Questions of DPR: JSON with passages for training and dev, and tab separated questions with answers for test."""

from __future__ import annotations

import ast
from typing import Any, NamedTuple

from ance.data.records import Reference, Wording
from ance.data.sources.dpr_passages import tsv_columns

ANNOTATED = 1000
"""DPR's score of a passage that a person has marked; others were found by BM25 and hold an answer."""


class Context(NamedTuple):
    """A passage of a question."""

    passage: Reference
    grade: int
    """2 if a person has marked it, 1 if it was found and holds an answer, as ir_datasets grades them."""


class Question(NamedTuple):
    """A question and what DPR knows of it."""

    text: str
    """Without the question mark at its end."""
    answers: tuple[str, ...]
    positives: tuple[Context, ...] = ()
    hard_negatives: tuple[Reference, ...] = ()
    """BM25's passages without an answer, best first."""


def parse_question(value: Any) -> Question:
    """A record of DPR's JSON. Of `negative_ctxs`, which are random, nothing is taken.

    Raises:
        ValueError: a key is missing or not what it should be; the message names it.
    """
    if not isinstance(value, dict):
        raise ValueError("is no object with 'question' and 'answers'")
    question = value.get("question")
    if not isinstance(question, str):
        raise ValueError("'question' is missing or no string")
    positives: dict[Reference, Context] = {}
    for number, context in enumerate(_contexts(value, "positive_ctxs")):
        reference = _reference(context, f"positive_ctxs[{number}]")
        positives.setdefault(reference, Context(reference, 2 if context.get("score") == ANNOTATED else 1))
    negatives = {
        _reference(context, f"hard_negative_ctxs[{number}]"): None
        for number, context in enumerate(_contexts(value, "hard_negative_ctxs"))
    }
    answers = _answers(value.get("answers"))
    return Question(without_question_mark(question), answers, tuple(positives.values()), tuple(negatives))


def parse_test_question(line: str) -> Question:
    """A line of DPR's test files: a question, a tab, and a list of answers as Python writes one.

    Raises:
        ValueError: it is none.
    """
    question, answers = tsv_columns(line, ("question", "answers"))
    try:
        value = ast.literal_eval(answers)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"the answers are no list of strings: {answers[:40]}") from error
    return Question(without_question_mark(question), _answers(value))


def without_question_mark(question: str) -> str:
    """A question as DPR and the original ANCE encode it (`normalize_question`)."""
    return question.removesuffix("?")


def _answers(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(answer, str) for answer in value):
        raise ValueError("'answers' is missing or no list of strings")
    return tuple(value)


def _contexts(value: dict[str, Any], key: str) -> list[dict[str, Any]]:
    contexts = value.get(key, [])
    if not isinstance(contexts, list) or not all(isinstance(context, dict) for context in contexts):
        raise ValueError(f"'{key}' is no list of objects")
    return contexts


def _reference(context: dict[str, Any], key: str) -> Reference:
    """By id, which NQ calls `passage_id` and the others `psg_id`; else by title and text."""
    passage_id = context.get("passage_id", context.get("psg_id"))
    if passage_id is not None:
        return str(passage_id)
    title, text = context.get("title", ""), context.get("text")
    if not isinstance(text, str) or not isinstance(title, str):
        raise ValueError(f"'{key}' has neither an id nor a text")
    return Wording(text, title)
