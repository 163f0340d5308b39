from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ance.data import ids as ids_module
from ance.data.ids import IdIndex, hash_ids


@settings(max_examples=30, deadline=None)
@given(batches=st.lists(st.lists(st.text(max_size=4), max_size=12), max_size=12))
def test_every_inserted_id_is_found_at_its_row_and_no_other(batches: list[list[str]]) -> None:
    rows: list[str] = []
    index = IdIndex(rows.__getitem__)
    for batch in batches:
        new = [one for one in dict.fromkeys(batch) if one not in rows]
        assert (index.find(new) == -1).all()
        index.insert(new, len(rows))
        rows.extend(new)
    assert index.find(rows).tolist() == list(range(len(rows)))
    assert index.find(["no such id"]).tolist() == [-1]


def test_an_index_is_the_same_after_it_was_saved(tmp_path: Path) -> None:
    names = [f"passage {row}" for row in range(1000)]
    index = IdIndex(names.__getitem__)
    for start in range(0, 1000, 64):
        index.insert(names[start : start + 64], start)
    index.save(tmp_path)
    reopened = IdIndex.open(tmp_path, names.__getitem__)
    assert reopened.find([*names[::-1], "absent"]).tolist() == [*range(999, -1, -1), -1]


def test_an_empty_index_finds_nothing(tmp_path: Path) -> None:
    IdIndex(str).save(tmp_path)
    assert IdIndex.open(tmp_path, str).find(["a"]).tolist() == [-1]


def test_ids_whose_hashes_collide_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def always_the_same(ids: list[str]) -> NDArray[np.uint64]:
        return np.full(len(ids), 7, np.uint64)

    monkeypatch.setattr(ids_module, "hash_ids", always_the_same)
    names = ["one", "two", "three"]
    index = IdIndex(names.__getitem__)
    index.insert(names, 0)
    assert index.find(["three", "one", "four"]).tolist() == [2, 0, -1]


def test_hashes_do_not_depend_on_the_process() -> None:
    assert hash_ids(["p1", "p2"]).tolist() == [10506498227197777640, 4962176395787748172]
