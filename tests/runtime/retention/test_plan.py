"""What is needed: the newest, the pinned, the used, what pointers name, and the parents of all of these."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ance.runtime.contracts import Kind
from ance.runtime.retention import KINDS, Version, plan_retention
from tests.runtime.retention.versions import ref, steps, version

CHECKPOINTS = [version(Kind.CHECKPOINT, step) for step in range(0, 60, 10)]


def test_the_newest_of_each_kind_stay() -> None:
    indexes = [version(Kind.INDEX, step) for step in (10, 20)]
    plan = plan_retention(CHECKPOINTS + indexes, keep=2)
    assert steps(plan, Kind.CHECKPOINT) == [0, 10, 20, 30]
    assert steps(plan, Kind.INDEX) == []


def test_pinned_steps_keep_their_checkpoint_and_nothing_else() -> None:
    embeddings = [version(Kind.EMBEDDINGS, step) for step in (0, 10, 20)]
    plan = plan_retention(CHECKPOINTS + embeddings, keep=1, pinned=[0])
    assert steps(plan, Kind.CHECKPOINT) == [10, 20, 30, 40]
    assert steps(plan, Kind.EMBEDDINGS) == [0, 10]


def test_steps_in_use_keep_everything() -> None:
    embeddings = [version(Kind.EMBEDDINGS, 20), version(Kind.EMBEDDINGS, 30)]
    plan = plan_retention(CHECKPOINTS + embeddings, keep=1, in_use=[20])
    assert steps(plan, Kind.CHECKPOINT) == [0, 10, 30, 40]
    assert steps(plan, Kind.EMBEDDINGS) == []


def test_what_a_pointer_names_stays_with_its_parents() -> None:
    """Search serves index 10 while checkpoints have moved on: its query encoder must stay."""
    index = version(Kind.INDEX, 10, (Kind.CHECKPOINT, 10))
    newer = version(Kind.INDEX, 20)
    plan = plan_retention([*CHECKPOINTS, index, newer], keep=1, latest=[ref(Kind.INDEX, 10)])
    assert steps(plan, Kind.CHECKPOINT) == [0, 20, 30, 40]
    assert steps(plan, Kind.INDEX) == []


def test_grandparents_go() -> None:
    """Checkpoints come from negatives that come from checkpoints: following the chain would keep it all."""
    chain = [
        version(Kind.CHECKPOINT, 0),
        version(Kind.NEGATIVES, 0, (Kind.CHECKPOINT, 0)),
        version(Kind.CHECKPOINT, 10, (Kind.NEGATIVES, 0)),
        version(Kind.NEGATIVES, 10, (Kind.CHECKPOINT, 10)),
        version(Kind.CHECKPOINT, 20, (Kind.NEGATIVES, 10)),
        version(Kind.NEGATIVES, 20, (Kind.CHECKPOINT, 20)),
    ]
    plan = plan_retention(chain, keep=1)
    assert steps(plan, Kind.CHECKPOINT) == [0, 10]
    assert steps(plan, Kind.NEGATIVES) == [0]


def test_an_unpublished_version_goes_once_a_newer_one_is_published() -> None:
    torn, under_way = Version(Kind.INDEX, 10), Version(Kind.INDEX, 30)
    assert plan_retention([torn, version(Kind.INDEX, 20), under_way], keep=3) == [torn]
    assert plan_retention([torn], keep=3) == []
    assert plan_retention([torn, version(Kind.INDEX, 20)], keep=3, in_use=[10]) == []


any_version = st.builds(
    version, st.sampled_from(KINDS), st.integers(0, 9), st.tuples(st.sampled_from(KINDS), st.integers(0, 9))
)


@given(st.lists(any_version, unique_by=lambda v: (v.kind, v.step)), st.integers(1, 4), st.sets(st.integers(0, 9)))
def test_a_plan_spares_the_newest_the_used_and_their_parents(
    versions: list[Version], keep: int, in_use: set[int]
) -> None:
    plan = plan_retention(versions, keep=keep, in_use=in_use)
    for kind in KINDS:
        newest = sorted(v.step for v in versions if v.kind is kind)[-keep:]
        assert not set(newest) & set(steps(plan, kind))
    assert not in_use & {v.step for v in plan}
    spared = [v for v in versions if v.step in in_use]
    assert not {sha256 for v in spared for sha256 in v.parents} & {v.manifest_sha256 for v in plan}
