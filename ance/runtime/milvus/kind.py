"""`index.factory` and `index.parameters` as Milvus understands them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import Field

from ance.errors import AnceError
from ance.runtime.contracts import Contract

Parameter = int | float | str

_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_]*(,\w+=[\w.]+)*")


class IndexKind(Contract):
    """A kind of index, what it is built with and what it is searched with, by Milvus' names."""

    index_type: str
    """E.g. `FLAT`, `HNSW`, `IVF_FLAT`, `AUTOINDEX`."""
    build: dict[str, Parameter] = Field(default_factory=dict)
    """E.g. {"M": 16, "efConstruction": 200}."""
    search: dict[str, Parameter] = Field(default_factory=dict)
    """E.g. {"ef": 128}."""


def parse_kind(factory: str, parameters: Mapping[str, float]) -> IndexKind:
    """Read the settings of a run's index.

    Args:
        factory: a type of index and what to build it with, e.g. `HNSW,M=16,efConstruction=200`.
        parameters: what to search with, e.g. {"ef": 128}.

    Raises:
        AnceError: this is no such setting. Whether Milvus has such a type, it says itself.
    """
    if not _KIND.fullmatch(factory):
        raise AnceError(
            f"index.factory '{factory}': with index.backend milvus, write a type of index and its parameters, e.g. "
            "HNSW,M=16,efConstruction=200"
        )
    index_type, *assignments = factory.split(",")
    build = dict(assignment.split("=") for assignment in assignments)
    return IndexKind(
        index_type=index_type.upper(),
        build={name: _number(value) for name, value in build.items()},
        search={name: int(value) if value == int(value) else value for name, value in parameters.items()},
    )


def _number(text: str) -> Parameter:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
