"""DPR's answer match on cases worked out by hand."""

import pytest

from ance.data.answer_match import holds_answer, tokens


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
