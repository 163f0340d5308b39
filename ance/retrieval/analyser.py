"""What BM25 takes for a term."""

import re
from collections.abc import Callable

import Stemmer
from bm25s.stopwords import STOPWORDS_EN

_WORD = re.compile(r"\b\w\w+\b")
_STOP_WORDS = frozenset(STOPWORDS_EN)


def english_analyser() -> Callable[[str], list[str]]:
    """A function from a text to its terms: lower-cased words of two characters or more, English stop words
    removed, English Snowball stems. Identifiers of code stay whole.

    The function must not be shared between threads: the stemmer keeps state.
    """
    stem: Callable[[list[str]], list[str]] = Stemmer.Stemmer("english").stemWords

    def analyse(text: str) -> list[str]:
        return stem([word for word in _WORD.findall(text.lower()) if word not in _STOP_WORDS])

    return analyse
