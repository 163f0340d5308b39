"""DPR's answer match on cases worked out by hand."""

import pytest

from ance.data import answer_match
from ance.data.answer_match import holds_answer, tokens
from ance.errors import AnceError


def test_tokens_are_runs_of_letters_digits_and_marks_or_single_signs() -> None:
    assert tokens("Nearly $12.50\tin the U.S.\n\u200b") == [
        "nearly",
        "$",
        "12",
        ".",
        "50",
        "in",
        "the",
        "u",
        ".",
        "s",
        ".",
    ]


@pytest.mark.parametrize(
    ("text", "answer", "held"),
    [
        ("It began in October 1973.", "october 1973", True),
        ("It began in October 1973.", "1973 October", False),
        ("It cost 19730 dollars", "1973", False),
        ("the U.S. Senate", "U.S.", True),
        ("the US Senate", "U.S.", False),
        ("prices rose to $12 a barrel", "$12", True),
        ("prices rose to 12 a barrel", "$12", False),
        ("caf\u00e9 noir", "cafe\u0301", True),
        ("cafe noir", "caf\u00e9", False),
        ("snake_case", "case", True),
        ("new\u00a0york", "New York", True),
        ("anything at all", "  ", False),
        ("", "anything", False),
    ],
)
def test_an_answer_is_held_where_its_tokens_follow_each_other(text: str, answer: str, held: bool) -> None:
    assert holds_answer(text, [answer]) is held


def test_one_answer_of_several_is_enough() -> None:
    assert holds_answer("in Vienna", ["Paris", "Vienna"])
    assert not holds_answer("in Vienna", [])


@pytest.mark.parametrize(
    ("text", "pattern", "held"),
    [
        ("It is 8,850 metres high", r"regex:8,?\d{3}\s+met(er|re)s", True),
        ("It is 8850 Meters high", r"regex:8,?\d{3}\s+met(er|re)s", True),
        ("It is 885 meters high", r"regex:8,?\d{3}\s+met(er|re)s", False),
        ("first\nVienna", "regex:^vienna$", True),
        ("caf\u00e9", "regex:cafe\u0301", True),
        ("a 1973b", "regex:1973", True),
        ("a 1973b", "1973", False),
    ],
)
def test_an_answer_may_be_a_pattern_that_is_looked_for_anywhere(text: str, pattern: str, held: bool) -> None:
    assert holds_answer(text, [pattern]) is held


def test_a_pattern_that_is_none_or_takes_too_long_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnceError, match=r"answer 'regex:\(a' is no regular expression: .*mend it in the data set"):
        holds_answer("a", ["regex:(a"])
    monkeypatch.setattr(answer_match, "_PATTERN_SECONDS", 0.05)
    with pytest.raises(AnceError, match=r"takes over 0.05 s on a text"):
        holds_answer("a" * 4000 + "b", [r"regex:((a|aa)+)+$"])
