"""Whose collections are dropped, and when."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from ance.errors import AnceError
from ance.retrieval.config import IndexConfig
from ance.runtime.artifacts import publish
from ance.runtime.contracts import Kind
from ance.runtime.holds import VersionHold
from ance.runtime.layout import RunLayout
from ance.runtime.milvus.backend import MilvusBackend
from ance.runtime.milvus.builder import MilvusIndexBuilder
from ance.runtime.milvus.collections import CollectionName, alias_of
from ance.runtime.milvus.engine import Milvus
from ance.runtime.milvus.kind import IndexKind
from ance.runtime.retention import retain
from ance.runtime.store import Store
from tests.milvus_server import MilvusServer

DIM = 4


class Versions:
    """A run's indexes, published as an indexer does."""

    def __init__(self, run: str, folder: Path, server: MilvusServer) -> None:
        self.folder = folder
        self.layout = RunLayout(run)
        self.store = Store.open(f"file://{folder / 'store'}", create=True)
        self.milvus = Milvus(server.settings())
        self.backend = MilvusBackend(IndexConfig(backend="milvus"), server.settings(), self.store, self.layout)

    def begin(self, step: int, token: int = 1) -> MilvusIndexBuilder:
        """An index that has its vectors, as many as its step, and is not published."""
        builder = self.backend.build(DIM, step=step, token=token)
        builder.add(np.ones((step, DIM), np.float32), np.arange(step))
        return builder

    def publish(self, step: int, token: int = 1) -> None:
        staging = self.folder / f"staged-{step}"
        self.begin(step, token).finish(staging)
        publish(
            self.store,
            self.layout.index(step),
            staging,
            kind=Kind.INDEX,
            step=step,
            fencing_token=token,
            pointer=self.layout.pointer("index"),
        )

    def kept(self) -> list[tuple[int, int]]:
        """(step, token) of the run's collections."""
        names = map(CollectionName.parse, self.milvus.collections())
        run = CollectionName.new(self.layout.run, 0, 0).run
        return sorted((name.step, name.token) for name in names if name is not None and name.run == run)


@pytest.fixture
def versions(milvus_server: MilvusServer, tmp_path: Path) -> Versions:
    return Versions(f"kept-{tmp_path.name}", tmp_path, milvus_server)


def test_the_alias_follows_the_newest_version(versions: Versions) -> None:
    versions.backend.tidy()  # nothing is published
    for step in (1, 2):
        versions.publish(step)
        versions.backend.tidy()
        assert versions.milvus.count(alias_of(versions.layout.run)) == step


def test_a_half_written_collection_is_seen_by_nobody_and_goes_with_the_next_attempt(versions: Versions) -> None:
    versions.publish(1)
    versions.begin(2, token=1)  # its leader dies here
    versions.backend.tidy()
    assert versions.kept() == [(1, 1), (2, 1)], "it may still be written"
    assert versions.milvus.count(alias_of(versions.layout.run)) == 1
    versions.publish(2, token=2)
    assert versions.kept() == [(1, 1), (2, 2)]


def test_a_leader_that_was_replaced_drops_nothing_of_its_successor(versions: Versions) -> None:
    versions.publish(1, token=1)
    successor = versions.begin(2, token=2)
    versions.backend.tidy()
    versions.begin(3, token=1)  # the old leader has not noticed
    assert versions.kept() == [(1, 1), (2, 2), (3, 1)]
    successor.finish(versions.folder / "staged")
    versions.begin(2, token=2)
    assert versions.kept() == [(1, 1), (2, 2)], "its own earlier attempt is dropped, and so is the old leader's"


def test_a_collection_goes_with_its_version_and_not_before(versions: Versions) -> None:
    for step in (1, 2, 3):
        versions.publish(step)
    with VersionHold(versions.store, versions.layout, "replica") as hold:
        hold.hold({(Kind.INDEX, 1)})
        for _ in range(2):  # the first pass condemns, the second deletes
            retain(versions.store, versions.layout, keep=1, grace_seconds=0)
            versions.backend.tidy()
        assert versions.kept() == [(1, 1), (3, 1)]
    for _ in range(2):
        retain(versions.store, versions.layout, keep=1, grace_seconds=0)
    for _ in range(2):
        versions.backend.tidy()
        assert versions.kept() == [(3, 1)]


def test_other_runs_and_other_users_keep_theirs(
    versions: Versions, milvus_server: MilvusServer, tmp_path: Path
) -> None:
    other = Versions(f"{versions.layout.run}_1", tmp_path / "other", milvus_server)
    other.begin(1)
    foreign = f"ance_{tmp_path.name}".replace("-", "_")
    versions.milvus.create(foreign, DIM, IndexKind(index_type="FLAT"))
    versions.publish(5, token=9)
    versions.backend.tidy()
    assert other.kept() == [(1, 1)]
    assert foreign in versions.milvus.collections()


def test_a_record_that_cannot_be_read_stops_the_dropping(versions: Versions) -> None:
    versions.publish(1)
    versions.publish(2)
    path = versions.store.local(f"{versions.layout.index(1)}/milvus.json")
    assert path is not None
    path.write_text("rubbish")
    with pytest.raises(AnceError, match=r"indexes/1/milvus\.json"):
        versions.backend.tidy()
    assert versions.kept() == [(1, 1), (2, 1)]


def test_while_milvus_is_away_tidying_waits_for_the_next_refresh(
    mortal_milvus: MilvusServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    versions = Versions("away", tmp_path, mortal_milvus)
    versions.publish(1)
    mortal_milvus.stop()
    versions.backend.tidy()
    assert "the next refresh does it" in caplog.text
    ours = [record.levelno for record in caplog.records if record.name.startswith("ance")]
    assert ours == [logging.WARNING]
    mortal_milvus.start()
    versions.backend.tidy()
    versions.milvus.load(alias_of("away"))
    assert versions.milvus.count(alias_of("away")) == 1
