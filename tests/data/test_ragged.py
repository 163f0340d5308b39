from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ance.data.ragged import Decoded, Ragged, RaggedWriter

TOKENS = st.lists(st.integers(0, 2**16 - 1), max_size=8)


def write(folder: Path, rows: list[list[int]], dtype: type = np.uint16) -> Ragged:
    with RaggedWriter(folder / "rows.bin", folder / "rows.npy", dtype) as writer:
        writer.extend(rows)
    return Ragged.open(folder / "rows.bin", folder / "rows.npy", dtype)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(TOKENS, max_size=20))
def test_what_is_written_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[list[int]]) -> None:
    ragged = write(tmp_path_factory.mktemp("ragged"), rows)
    assert [ragged[row].tolist() for row in range(len(ragged))] == rows
    assert ragged.lengths.tolist() == [len(row) for row in rows]
    assert ragged.flat.tolist() == [value for row in rows for value in row]


def test_rows_are_views_of_the_mapped_file(tmp_path: Path) -> None:
    ragged = write(tmp_path, [[1, 2], [3]])
    assert isinstance(ragged.flat.base, np.memmap)
    assert np.shares_memory(ragged[0], ragged.flat)
    assert ragged[0].dtype == np.uint16


def test_a_row_beyond_the_last_is_an_error(tmp_path: Path) -> None:
    ragged = write(tmp_path, [[1]])
    for row in (1, -1):
        with pytest.raises(IndexError, match="of 1"):
            ragged[row]


def test_a_value_that_does_not_fit_is_refused_and_not_wrapped_around(tmp_path: Path) -> None:
    with pytest.raises(OverflowError):
        write(tmp_path, [[2**16]])


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [[1, 2], [3]])
    (tmp_path / "rows.bin").write_bytes(b"\0\0")
    with pytest.raises(ValueError, match=r"1 values, rows\.npy says 3"):
        Ragged.open(tmp_path / "rows.bin", tmp_path / "rows.npy", np.uint16)


def test_a_row_can_be_read_back_while_the_file_is_being_written(tmp_path: Path) -> None:
    with RaggedWriter(tmp_path / "rows.bin", tmp_path / "rows.npy", np.uint16) as writer:
        writer.extend([[7, 8], [9]])
        assert writer[0].tolist() == [7, 8]
        writer.append([10])
        assert [writer[row].tolist() for row in range(len(writer))] == [[7, 8], [9], [10]]


def test_decoded_rows_make_a_sequence(tmp_path: Path) -> None:
    words = Decoded(write(tmp_path, [[97], [98, 99], []], np.uint8), bytes.decode)
    assert list(words) == ["a", "bc", ""]
    assert words[1:] == ["bc", ""]
    assert "bc" in words
