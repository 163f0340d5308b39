"""The installed Python packages as a data set: find the function or class from what its docstring says."""

from __future__ import annotations

import heapq
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Any, ClassVar, NamedTuple

from ance.data.records import Judgement, Located, Passage, Query, Source
from ance.data.sources.python_definitions import find_definitions
from ance.data.sources.python_modules import Module, Package, installed_packages
from ance.data.text_format import PassageFormat, text_format
from ance.errors import AnceError

SPLITS = ("train", "dev", "test")


class _Pair(NamedTuple):
    package: str
    split: str
    passage: Located[Passage]
    query: str


class PythonEnv(Source):
    """A `Source` of the functions and classes of the installed packages and the standard library.

    The corpus is the same for the same installed packages. Modules are taken in the order of a hash of their
    names, always from the package that has given the fewest passages so far, so that a few large packages do
    not fill a small corpus; no more modules are read than are needed. A hash of the module's name also
    decides the split (80 % train, 10 % dev, 10 % test): no module is in two.

    Args:
        passages: how many to take, at most.
        packages: names of distributions, or `stdlib`, to take them from (empty: from all).
        search_path: see `installed_packages`.

    Raises:
        AnceError: one of `packages` is not installed as Python source.
    """

    DEFAULT_PASSAGES: ClassVar[int] = 8000

    def __init__(
        self,
        passages: int = DEFAULT_PASSAGES,
        packages: Sequence[str] = (),
        search_path: Sequence[str] | None = None,
    ) -> None:
        installed = installed_packages(search_path)
        for name in packages:
            if name not in installed:
                raise AnceError(f"python-env: no source of package '{name}'; there is: {', '.join(sorted(installed))}")
        self._packages = {name: installed[name] for name in packages or installed}
        self._limit = passages
        self._unreadable: list[str] = []

    @property
    def name(self) -> str:
        return "python-env"

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Passages by package and version, and the files that could not be read or parsed."""
        given = Counter(pair.package for pair in self._pairs)
        packages = {f"{name} {self._packages[name].version}": given[name] for name in sorted(given)}
        texts = text_format(PassageFormat.TITLE_TEXT)
        return {"source": "python-env", "packages": packages, "unreadable": self._unreadable} | texts

    def splits(self) -> tuple[str, ...]:
        present = {pair.split for pair in self._pairs}
        return tuple(split for split in SPLITS if split in present)

    def passages(self) -> Iterator[Located[Passage]]:
        return (pair.passage for pair in self._pairs)

    def queries(self, split: str) -> Iterator[Located[Query]]:
        for pair in self._of(split):
            yield Located(Query(_query_id(pair), pair.query), pair.passage.where)

    def judgements(self, split: str) -> Iterator[Located[Judgement]]:
        for pair in self._of(split):
            passage, where = pair.passage
            yield Located(Judgement(_query_id(pair), passage.id, 1), where)

    def _of(self, split: str) -> Iterator[_Pair]:
        return (pair for pair in self._pairs if pair.split == split)

    @cached_property
    def _pairs(self) -> tuple[_Pair, ...]:
        """The corpus. Of equal passages or equal queries the first is kept: no one could tell them apart."""
        seen: set[str] = set()
        pairs: list[_Pair] = []
        streams = {name: self._pairs_by_module(package) for name, package in self._packages.items()}
        fewest_first = [(0, name) for name in sorted(streams)]
        while fewest_first and len(pairs) < self._limit:
            given, name = heapq.heappop(fewest_first)
            candidates = next(streams[name], None)
            if candidates is None:
                continue
            for pair in candidates[: self._limit - len(pairs)]:
                keys = (pair.passage.record.id, pair.passage.record.text, pair.query.lower())
                if seen.isdisjoint(keys):
                    seen.update(keys)
                    pairs.append(pair)
                    given += 1
            heapq.heappush(fewest_first, (given, name))
        return tuple(pairs)

    def _pairs_by_module(self, package: Package) -> Iterator[list[_Pair]]:
        for module in sorted(package.modules, key=lambda module: _hash(module.name, b"order")):
            yield [*self._pairs_of(package.name, module)]

    def _pairs_of(self, package: str, module: Module) -> Iterator[_Pair]:
        split = _split(module.name)
        try:
            with tokenize.open(module.path) as file:
                definitions = list(find_definitions(file.read()))
        except (OSError, SyntaxError, ValueError, RecursionError):
            self._unreadable.append(module.where)
            return
        for name, query, code, line in definitions:
            qualified = f"{module.name}.{name}"
            yield _Pair(package, split, Located(Passage(qualified, qualified, code), f"{module.where}:{line}"), query)


def _query_id(pair: _Pair) -> str:
    return f"{pair.passage.record.id}#docstring"


def _split(module: str) -> str:
    tenth = _hash(module, b"split") % 10
    return "train" if tenth < 8 else SPLITS[tenth - 7]


def _hash(module: str, purpose: bytes) -> int:
    """64 bits that depend on nothing but the name; another purpose gives independent ones."""
    return int.from_bytes(blake2b(module.encode(), digest_size=8, person=purpose).digest())
