"""What is published of an index that Milvus keeps: where it is, and what it must be."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import NonNegativeInt, PositiveInt, ValidationError

from ance.errors import AnceError
from ance.runtime.contracts import Contract
from ance.runtime.milvus.kind import IndexKind

RECORD_FILE = "milvus.json"


class MilvusRecord(Contract):
    """Stands in an index's artifact in the place of the index itself."""

    collection: str
    metric: Literal["IP"] = "IP"
    dim: PositiveInt
    count: NonNegativeInt
    """Vectors, each with its passage row."""
    passages: NonNegativeInt
    """Passages that they are of."""
    most: PositiveInt
    """Vectors of the passage that has most."""
    kind: IndexKind

    @classmethod
    def parse(cls, data: bytes, source: str) -> MilvusRecord:
        """Read a record. `source` names it in errors.

        Raises:
            AnceError: it is none.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise AnceError(f"{source}: is no record of an index in Milvus, build the index again") from error

    @classmethod
    def read(cls, folder: Path) -> MilvusRecord:
        """The record in the folder of an index.

        Raises:
            AnceError: there is none.
        """
        path = folder / RECORD_FILE
        try:
            return cls.parse(path.read_bytes(), str(path))
        except FileNotFoundError as error:
            raise AnceError(f"{path}: missing, so the index was not built with index.backend milvus") from error

    def write(self, folder: Path) -> None:
        """Write `milvus.json` into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECORD_FILE).write_text(self.model_dump_json(indent=1))
