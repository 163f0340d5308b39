"""Names of collections, which say whose they are."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from ance.runtime.contracts import NAME
from ance.runtime.milvus.collections import CollectionName, alias_of, escaped

RUNS = st.from_regex(NAME, fullmatch=True)


@given(RUNS, st.integers(0, 10**9), st.integers(0, 10**6))
def test_a_name_is_one_that_milvus_allows_and_says_what_it_was_made_of(run: str, step: int, token: int) -> None:
    name = CollectionName.new(run, step, token)
    assert re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,254}", str(name))
    assert CollectionName.parse(str(name)) == name
    assert (name.run, name.step, name.token) == (escaped(run), step, token)


@given(RUNS, RUNS)
def test_runs_never_share_names_or_aliases(one: str, other: str) -> None:
    names = CollectionName.new(one, 1, 1), CollectionName.new(other, 1, 1)
    assert (names[0].run == names[1].run) == (one == other)
    assert (alias_of(one) == alias_of(other)) == (one == other)
    assert alias_of(one) not in map(str, names)


def test_two_attempts_of_the_same_leader_have_different_names() -> None:
    assert CollectionName.new("demo", 3, 1) != CollectionName.new("demo", 3, 1)


def test_names_of_others_are_not_ours() -> None:
    for name in ("wikipedia", "ance_demo", "ance_demo__3", "ance_demo__3__1_xyz", "other_demo__3__1_0a1b2c3d"):
        assert CollectionName.parse(name) is None
