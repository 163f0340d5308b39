"""How to use an exported model, for its card: with the texts that its encoder read in training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ance.data.text_format import PassageFormat, QueryFormat

if TYPE_CHECKING:
    from ance.model.config import ModelConfig

_LOAD = """from sentence_transformers import SentenceTransformer

model = SentenceTransformer("FOLDER")
question, text = "What is a hard negative?", "A hard negative ranks high without being relevant."
"""
_EXAMPLE = {"url": '"https://example.org/negatives"', "title": '"Hard negatives"', "text": "text", "body": "text"}
_AS_QUERY = {QueryFormat.WITHOUT_QUESTION_MARK: 'question.removesuffix("?")'}
_AS_PASSAGE = {
    PassageFormat.TITLE_TEXT: (("title", "text"), 'f"{title} {text}".strip()'),
    PassageFormat.TITLE_SEP_TEXT: (
        ("title", "text"),
        "model.tokenizer.sep_token.join((title.strip(), text.strip())) if title else text",
    ),
    PassageFormat.URL_SEP_TITLE_SEP_BODY: (
        ("url", "title", "body"),
        "model.tokenizer.sep_token.join((url.strip(), title.strip(), body.strip()))",
    ),
}
"""Parts of a passage, and Python that makes of them what the encoder read."""


def usage(model: ModelConfig, provenance: Mapping[str, Any]) -> str:
    """Markdown: code for sentence-transformers, and what it must know of limits, texts, towers and chunks.

    Args:
        model: of the run.
        provenance: of its data set; texts are encoded as they are where it does not say their format.
    """
    notes = f"Queries were cut at {model.max_query_tokens} tokens, passages at {model.max_passage_tokens}."
    if "passage_format" in provenance:
        passage, query = provenance["passage_format"], provenance["query_format"]
        notes += f" In training a passage was read as `{passage}`, a query as `{query}`."
    if not model.shared:
        notes += " Queries and passages have an encoder each: the call says which."
    if model.max_chunks > 1:
        notes += (
            f"\n\nA longer passage was read as up to {model.max_chunks} consecutive chunks of "
            f"{model.max_passage_tokens} tokens, special tokens included (MaxP). Encode each chunk as a passage; a "
            "passage scores as much as its best chunk."
        )
    return f"```python\n{_code(model, provenance)}\n```\n\n{notes}"


def _code(model: ModelConfig, provenance: Mapping[str, Any]) -> str:
    """Python that encodes a query and a passage, made as they were in training."""
    of_query, of_passage = ("encode", "encode") if model.shared else ("encode_query", "encode_document")
    query, passage, functions = "question", "text", []
    if expression := _AS_QUERY.get(provenance.get("query_format", "")):
        functions.append(f"def as_query(question):\n    return {expression}")
        query = "as_query(question)"
    if found := _AS_PASSAGE.get(provenance.get("passage_format", "")):
        parts, expression = found
        functions.append(f"def as_passage({', '.join(parts)}):\n    return {expression}")
        passage = f"as_passage({', '.join(_EXAMPLE[part] for part in parts)})"
    encode = f"query = model.{of_query}({query})\npassages = model.{of_passage}([{passage}])\nscores = passages @ query"
    return "\n\n".join([_LOAD, *(f"{function}\n" for function in functions), encode]) if functions else _LOAD + encode
