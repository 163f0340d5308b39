"""Queries of the data set's own: to try a version on, and to show people what can be asked."""

from __future__ import annotations

from itertools import chain, islice

from ance.data.dataset import Dataset

DEV = 128
SOME = 8


def dev_queries(dataset: Dataset) -> list[str]:
    """The first queries of the dev split."""
    return [document["text"] for document in dataset.queries("dev").documents[:DEV]]


def some_queries(dataset: Dataset) -> list[str]:
    """A few queries of any split, if possible none that was trained on."""
    splits = sorted(dataset.splits, key=lambda split: split == "train")
    documents = chain.from_iterable(dataset.queries(split).documents for split in splits)
    return [document["text"] for document in islice(documents, SOME)]
