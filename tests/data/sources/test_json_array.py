import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ance.data.sources import json_array
from ance.data.sources.json_array import read_json_array
from ance.errors import AnceError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
)


def write(folder: Path, content: str | bytes, name: str = "values.json") -> Path:
    raw = content.encode() if isinstance(content, str) else content
    path = folder / name
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


@given(values=st.lists(JSON, max_size=5), indent=st.sampled_from([None, 0, 3]), chunk=st.integers(1, 9))
def test_values_are_those_of_the_whole_array_however_small_the_pieces_read(
    values: list[Any], indent: int | None, chunk: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.mktemp("json"), json.dumps(values, indent=indent, ensure_ascii=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "CHUNK", chunk)
        assert [element.value for element in read_json_array(path)] == values


@pytest.mark.parametrize("name", ["values.json", "values.json.gz"])
def test_a_value_comes_with_the_line_it_begins_on(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, '[\n {"a":\n 1},\n\n {"b": "x"}, 3\n]\n', name)
    assert [tuple(element) for element in read_json_array(path)] == [({"a": 1}, 2), ({"b": "x"}, 5), (3, 5)]


def test_what_comes_first_is_given_before_the_rest_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, '[{"a": 1}, {"b" 2}]')
    values = read_json_array(path)
    assert next(values).value == {"a": 1}
    with pytest.raises(AnceError, match=r"values.json:1: is not JSON: Expecting ':' delimiter"):
        next(values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}', r"values.json:1: expected a JSON array"),
        ("", r"values.json:1: expected a JSON array"),
        ("[1,\n2", r"values.json:2: ends within"),
        ('[1,\n\n"abc', r"values.json:3: is not JSON: Unterminated string"),
        ("[1\n2]", r"values.json:2: expected `,` or `\]` after a value, found '2'"),
        ("[1]\n[2]", r"values.json:2: something follows the array"),
        (b'["\xff"]', r"values.json:1: is not UTF-8"),
        ("[" * 100_000, r"nested too deeply|is not JSON"),
    ],
)
def test_a_broken_file_is_an_error_that_names_the_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(AnceError, match=message):
        list(read_json_array(write(tmp_path, content)))


def test_a_value_that_never_ends_is_not_read_to_the_end_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_array, "CHUNK", 8)
    monkeypatch.setattr(json_array, "LARGEST", 100)
    path = write(tmp_path, '["' + "x" * 10_000 + '"]')
    with pytest.raises(AnceError, match="is not JSON"):
        list(read_json_array(path))
