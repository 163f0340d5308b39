"""A Hugging Face fast tokenizer, reduced to what the data layer needs: content tokens, and their identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer as Backend

from ance.errors import AnceError


class SpecialTokens(NamedTuple):
    """What surrounds a text: token ids before it (e.g. [CLS]) and after it ([SEP]), and what pads a batch."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    pad_id: int


class Tokenizer:
    """Turns texts into content tokens, many texts at once and on all cores.

    Args:
        backend: loses its truncation and padding, which would put special tokens among the content.
        pad_id: token id that pads a batch.
    """

    def __init__(self, backend: Backend, pad_id: int) -> None:
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        self.special = SpecialTokens(*_surroundings(backend), pad_id)

    # The next two take a tenth of a second each, in which no other Python runs: a search service that swaps to the
    # next version needs neither.
    @cached_property
    def vocab_size(self) -> int:
        """Above every token id: decides the dtype that holds them."""
        return 1 + max(self._backend.get_vocab(with_added_tokens=True).values())

    @property
    def lowers_case(self) -> bool:
        """Whether it reads upper case as lower case."""
        normalizer = self._backend.normalizer
        return normalizer is not None and "A" not in normalizer.normalize_str("A")

    @cached_property
    def sha256(self) -> str:
        """Hash of all that determines the token ids: two tokenizers with the same one give the same ids."""
        canonical = json.dumps(json.loads(self._backend.to_str()), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @classmethod
    def load(cls, name_or_path: str | Path) -> Tokenizer:
        """Load a Hugging Face model id or folder.

        Raises:
            AnceError: there is no tokenizer, or it has no fast implementation.
        """
        from transformers import AutoTokenizer  # takes seconds to import

        try:
            tokenizer = AutoTokenizer.from_pretrained(str(name_or_path), **_kind(Path(name_or_path)))
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise AnceError(f"{name_or_path}: no tokenizer could be loaded: {reason}") from error
        if not tokenizer.is_fast:
            raise AnceError(f"{name_or_path}: needs a fast tokenizer (tokenizer.json), found a slow one only")
        return cls(tokenizer.backend_tokenizer, tokenizer.pad_token_id or 0)

    def encode(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Content tokens of each text, without special tokens, cut to `max_tokens`."""
        encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids[:max_tokens] for encoding in encodings]

    def encode_parts(self, texts: Sequence[Sequence[str]], max_tokens: int) -> list[list[int]]:
        """Content tokens of texts in parts, cut to `max_tokens`: between two parts stands what ends a text ([SEP]).

        So a pair has the tokens that it has as `[CLS] first [SEP] second [SEP]`. Of a text whose parts are all empty
        there are none.
        """
        encoded = iter(self.encode(list(chain.from_iterable(texts)), max_tokens))
        return [self._join([next(encoded) for _ in parts])[:max_tokens] for parts in texts]

    def _join(self, parts: Sequence[list[int]]) -> list[int]:
        if not any(parts):
            return []
        return list(chain(parts[0], *((*self.special.suffix, *part) for part in parts[1:])))


def _kind(folder: Path) -> dict[str, str]:
    """Names the kind of tokenizer in a folder of the original ANCE: transformers 2.3 wrote it, and no file does."""
    config = folder / "config.json"
    if not config.is_file() or (folder / "tokenizer.json").is_file() or not (folder / "merges.txt").is_file():
        return {}
    return {} if "model_type" in json.loads(config.read_bytes()) else {"tokenizer_type": "roberta"}


def _surroundings(backend: Backend) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Special tokens that the tokenizer puts before and after a text."""
    encoding = backend.encode("a")
    special = encoding.special_tokens_mask
    first = special.index(0)
    last = len(special) - special[::-1].index(0)
    return tuple(encoding.ids[:first]), tuple(encoding.ids[last:])
