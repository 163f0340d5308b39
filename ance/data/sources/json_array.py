"""The objects of a JSON array that is too large to be held, one by one."""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ance.data.sources.lines import open_bytes
from ance.errors import AnceError

CHUNK = 1 << 20
"""Bytes read at a time."""
LARGEST = 1 << 26
"""Characters within which a value must end."""
_SPACE = " \t\r\n"


class Element(NamedTuple):
    """A value of the array, and where it begins."""

    value: Any
    line: int


def read_json_array(path: Path) -> Iterator[Element]:
    """The values of a file that is one JSON array, `.gz` or not; no more than the value being read is held.

    Raises:
        AnceError: the file is no JSON array, or ends within one. What follows a broken value cannot be told apart from
            it, so that such a file is never read on; the message names the line.
    """
    with open_bytes(path) as file:
        text = _Text(path, iter(lambda: file.read(CHUNK), b""))
        if text.next_sign() != "[":
            raise text.broken("expected a JSON array, `[` first")
        text.skip()
        closing = text.next_sign() == "]"
        while not closing:
            line = text.line
            yield Element(text.value(), line)
            sign = text.next_sign()
            if sign not in (",", "]"):
                raise text.broken(
                    f"expected `,` or `]` after a value, found {sign!r}" if sign else "ends within the array"
                )
            closing = sign == "]"
            text.skip()
            text.next_sign()
        text.skip()
        if text.next_sign():
            raise text.broken("something follows the array")


class _Text:
    """The text not yet taken, read as it is needed."""

    def __init__(self, path: Path, chunks: Iterator[bytes]) -> None:
        self._path = path
        self._chunks = chunks
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._parse = json.JSONDecoder().raw_decode
        self._buffer = ""
        self._at = 0
        self.line = 1

    def next_sign(self) -> str:
        """The next character that is no white space, not taken yet; empty at the end of the file."""
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at] in _SPACE:
                self.skip()
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._read():
                return ""

    def skip(self) -> None:
        """Take one character."""
        self.line += self._buffer[self._at : self._at + 1] == "\n"
        self._at += 1

    def value(self) -> Any:
        """Take one JSON value, reading as much as it needs."""
        while True:
            try:
                value, end = self._parse(self._buffer, self._at)
            except json.JSONDecodeError as error:
                line = self.line + self._buffer.count("\n", self._at, error.pos)
                if len(self._buffer) - self._at < LARGEST and self._read():
                    continue  # it may only have been cut off
                self.line = line
                raise self.broken(f"is not JSON: {error.msg}") from error
            except RecursionError as error:
                raise self.broken("is nested too deeply") from error
            if end == len(self._buffer) and self._read():
                continue  # a number may go on
            self.line += self._buffer.count("\n", self._at, end)
            self._at = end
            return value

    def broken(self, what: str) -> AnceError:
        """The error that the file is no array of JSON values."""
        return AnceError(f"{self._path}:{self.line}: {what}; the rest of the file cannot be read, copy it again")

    def _read(self) -> bool:
        """Append a chunk; false at the end of the file."""
        chunk = next(self._chunks, b"")
        try:
            more = self._decode.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            raise self.broken("is not UTF-8") from error
        self._buffer, self._at = self._buffer[self._at :] + more, 0
        return bool(chunk)
