"""The passages of DPR, `psgs_w100.tsv`: a Wikipedia of December 2018, in pieces of 100 words."""

import csv

from ance.data.records import Passage
from ance.data.sources.lines import columns

HEADER = "id\ttext\ttitle"


def parse_passage(line: str) -> Passage | None:
    """A line as a passage; None for the header. A text in quotes has its own quotes doubled.

    Raises:
        ValueError: it has not three columns.
    """
    if line == HEADER:
        return None
    passage_id, text, title = tsv_columns(line, ("id", "text", "title"))
    return as_pair(passage_id, title, text)


def as_pair(passage_id: str, title: str, text: str) -> Passage:
    """A passage as DPR encodes it, `[CLS] title [SEP] text [SEP]` (dpr/models/hf_models.py, BertTensorizer)."""
    return Passage(passage_id, title, text, (title, text) if title else ())


def tsv_columns(line: str, names: tuple[str, ...]) -> list[str]:
    """The columns of a line whose texts may be in quotes.

    Raises:
        ValueError: there are more or fewer, or a quote is not closed.
    """
    if '"' not in line:
        return columns(line, names)
    try:
        (found,) = csv.reader([line], delimiter="\t", strict=True)
    except csv.Error as error:
        raise ValueError(f"a quote is not closed or not doubled: {error}") from error
    if len(found) != len(names) or not found[0].strip():
        raise ValueError(f"expected {len(names)} columns between tabs, {', '.join(names)}; found {len(found)}")
    return found
