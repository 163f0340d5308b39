import gzip
from pathlib import Path

import pytest

from ance.data.records import Invalid, Located
from ance.data.sources.lines import columns, grade, read_lines, read_records
from ance.errors import AnceError


def test_a_compressed_file_gives_the_same_lines(tmp_path: Path) -> None:
    text = b"one\r\n\n  two\n"
    (tmp_path / "a.tsv").write_bytes(text)
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(text))
    plain, compressed = (list(read_lines(tmp_path / name, "a.tsv")) for name in ("a.tsv", "a.tsv.gz"))
    assert plain == compressed == [Located("one", "a.tsv:1"), Located("  two", "a.tsv:3")]


@pytest.mark.parametrize(
    "content", [b"no gzip at all", gzip.compress(b"line\n" * 999)[:-20]], ids=["no gzip", "cut off"]
)
def test_a_damaged_compressed_file_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tsv.gz").write_bytes(content)
    with pytest.raises(AnceError, match=r"a\.tsv\.gz: cannot be decompressed: .*; copy or download it again"):
        list(read_lines(tmp_path / "a.tsv.gz", "a.tsv.gz"))


def test_a_line_that_is_refused_is_invalid_and_the_next_one_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1\nx\n3\n")
    first, second, third = read_records(tmp_path / "a", "a", lambda line: int(line))
    assert (first, third) == (Located(1, "a:1"), Located(3, "a:3"))
    assert isinstance(second, Invalid) and second.where == "a:2"


def test_columns_are_as_many_as_they_have_names() -> None:
    assert columns("7\ta b", ("id", "text")) == ["7", "a b"]
    assert columns("7 0  9 1", ("a", "b", "c", "d"), separator=None) == ["7", "0", "9", "1"]
    with pytest.raises(ValueError, match="expected 2 columns between tabs, id, text; found 3"):
        columns("7\ta\tb", ("id", "text"))
    with pytest.raises(ValueError, match="the first column, id, is empty"):
        columns(" \ta", ("id", "text"))


def test_a_grade_is_an_integer() -> None:
    assert [grade("2"), grade("-1")] == [2, -1]
    with pytest.raises(ValueError, match="is not an integer"):
        grade("1.0")
