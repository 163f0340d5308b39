"""Text files read line by line, each line with the place where a person finds it."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from ance.data.records import Invalid, Located, Reason


def read_lines(path: Path, name: str) -> Iterator[Located[str] | Invalid]:
    """Lines of a UTF-8 file without their ends (LF or CRLF); blank lines hold no record and are passed over.

    A line that is not UTF-8 is `Invalid`. `name` stands for the file in places, e.g. `qrels/dev.tsv:3`.
    """
    with path.open("rb") as file:
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
