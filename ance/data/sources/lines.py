"""Text files read line by line, each line with the place where a person finds it."""

import codecs
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from ance.data.records import Invalid, Located, Reason
from ance.errors import AnceError

T = TypeVar("T")
_GRADE = re.compile(r"[+-]?[0-9]{1,9}")


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """A file, or what it holds if its name ends in `.gz`.

    Raises:
        AnceError: the compressed file is damaged or cut off.
    """
    if path.suffix != ".gz":
        with path.open("rb") as file:
            yield file
        return
    try:
        with gzip.open(path) as file:
            yield cast(BinaryIO, file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise AnceError(f"{path}: cannot be decompressed: {error}; copy or download it again") from error


def read_lines(path: Path, name: str) -> Iterator[Located[str] | Invalid]:
    """Lines of a UTF-8 file without their ends (LF or CRLF); blank lines hold no record and are passed over.

    A line that is not UTF-8 is `Invalid`. `name` stands for the file in places, e.g. `qrels/dev.tsv:3`. A file whose
    name ends in `.gz` is decompressed as it is read.
    """
    with open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            where = f"{name}:{number}"
            content = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            try:
                text = content.decode().rstrip("\r\n")
            except UnicodeDecodeError as error:
                yield Invalid(Reason.MALFORMED, where, f"is not UTF-8 at byte {error.start + 1} of the line")
                continue
            if text.strip():
                yield Located(text, where)


def read_records(path: Path, name: str, parse: Callable[[str], T]) -> Iterator[Located[T] | Invalid]:
    """What `parse` makes of each of the `read_lines`; a line that it refuses by a ValueError is `Invalid`."""
    for line in read_lines(path, name):
        if isinstance(line, Invalid):
            yield line
            continue
        try:
            yield Located(parse(line.record), line.where)
        except ValueError as error:
            yield Invalid(Reason.MALFORMED, line.where, str(error))


def columns(line: str, names: tuple[str, ...], separator: str | None = "\t") -> list[str]:
    """The columns of a line; the first, an id, is not empty.

    Args:
        names: of the columns, for the error.
        separator: between them (None: any white space).

    Raises:
        ValueError: there are more or fewer.
    """
    found = line.split(separator)
    if len(found) != len(names):
        between = "tabs" if separator == "\t" else "white space"
        raise ValueError(f"expected {len(names)} columns between {between}, {', '.join(names)}; found {len(found)}")
    if not found[0].strip():
        raise ValueError(f"the first column, {names[0]}, is empty")
    return found


def grade(text: str, name: str = "grade") -> int:
    """A judgement's grade.

    Raises:
        ValueError: it is no integer.
    """
    if not _GRADE.fullmatch(text):
        raise ValueError(f"{name} '{text}' is not an integer")
    return int(text)
