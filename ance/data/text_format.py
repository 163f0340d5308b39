"""What an encoder reads of a passage and of a query, as a data set remembers it for whoever uses a model elsewhere."""

from enum import StrEnum


class PassageFormat(StrEnum):
    """Parts of a passage in their order; [SEP] stands for the tokenizer's own separator."""

    TEXT = "text"
    TITLE_TEXT = "title text"
    TITLE_SEP_TEXT = "title [SEP] text"
    URL_SEP_TITLE_SEP_BODY = "url [SEP] title [SEP] body"
    DEFAULT_TEXT = "the default_text of ir_datasets"


class QueryFormat(StrEnum):
    """What is left of a query."""

    TEXT = "text"
    WITHOUT_QUESTION_MARK = "text without the question mark at its end"


def text_format(passage: PassageFormat, query: QueryFormat = QueryFormat.TEXT) -> dict[str, str]:
    """Entries of a source's provenance. Data sets that were prepared before there were any have none."""
    return {"passage_format": passage.value, "query_format": query.value}
