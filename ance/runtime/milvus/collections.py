"""Names of collections: one for each attempt to build the index of a version.

Milvus allows letters, digits and `_` in a name. In ours, a run's other characters are `_` and two hexadecimal
digits, so `__` separates the parts and no run's names begin like another's.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

_NAME = re.compile(r"ance_(?P<run>.+)__(?P<step>\d+)__(?P<token>\d+)_(?P<attempt>[0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class CollectionName:
    """Collection of one attempt. No two attempts share one, so what is left half-written is never added to."""

    run: str
    """As of `escaped`."""
    step: int
    token: int
    """Fencing token of the lease under which it is written."""
    attempt: str

    @classmethod
    def new(cls, run: str, step: int, token: int) -> CollectionName:
        """A name that nobody has used."""
        return cls(escaped(run), step, token, secrets.token_hex(4))

    @classmethod
    def parse(cls, name: str) -> CollectionName | None:
        """What a name says; None if it is not one of ours."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        return cls(match["run"], int(match["step"]), int(match["token"]), match["attempt"])

    def __str__(self) -> str:
        return f"ance_{self.run}__{self.step}__{self.token}_{self.attempt}"


def alias_of(run: str) -> str:
    """The alias by which other clients of Milvus find a run's newest collection."""
    return f"ance_{escaped(run)}"


def escaped(run: str) -> str:
    """A run's id in the characters that Milvus allows; different for different ids."""
    return re.sub(r"[^A-Za-z0-9]", lambda match: f"_{ord(match[0]):02x}", run)
