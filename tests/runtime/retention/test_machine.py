"""A reader never meets half an artifact, whatever publishers and retention do meanwhile."""

from __future__ import annotations

import uuid
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ance.runtime.artifacts import ArtifactNotFound, published, read_manifest
from ance.runtime.contracts import Kind
from ance.runtime.holds import VersionHold
from ance.runtime.layout import manifest_of
from ance.runtime.retention import retain
from ance.runtime.store import StaleFencingToken, Store
from tests.runtime.retention.versions import LAYOUT, put


class Reading(RuleBasedStateMachine):
    """Publishers, readers and retention in any order: a reader that holds a version can read it to the end.

    An index is of no use without its checkpoint, which encodes the queries. Publishers die between files and manifest,
    and leaders publish late, under a lease that has gone to another.
    """

    def __init__(self) -> None:
        super().__init__()
        self.store = Store.open(f"memory://{uuid.uuid4().hex}", retry_seconds=0)
        self.step = 0
        self.token = 1
        self.readers = [VersionHold(self.store, LAYOUT, f"reader-{number}") for number in range(2)]
        self.reading: dict[int, int] = {}

    @rule()
    def publish_next(self) -> None:
        self._publish(self.step + 1, self.token)
        self.step += 1

    @rule()
    def lead_anew(self) -> None:
        self.token += 1

    @rule(ahead=st.integers(0, 1))
    def die_before_the_manifest(self, ahead: int) -> None:
        """The files of a version are there: of one that is new, or of one whose files are there already."""
        for kind in (Kind.CHECKPOINT, Kind.INDEX):
            key = f"{LAYOUT.version(kind, self.step + ahead)}/data.bin"
            self.store.write_new(key, f"{kind} {self.step + ahead}".encode())

    @rule(back=st.integers(0, 3))
    def publish_late(self, back: int) -> None:
        """A leader wakes up with a version that its successor has published, or has passed."""
        newest = self.store.read_pointer(LAYOUT.pointer("index"))
        if newest is None or self.step < back or newest.fencing_token == 1:
            return
        with TemporaryDirectory() as folder, pytest.raises(StaleFencingToken):
            put(self.store, Path(folder), Kind.INDEX, self.step - back, "index", newest.fencing_token - 1)
        assert self.store.read_pointer(LAYOUT.pointer("index")) == newest

    def _publish(self, step: int, token: int) -> None:
        with TemporaryDirectory() as folder:
            checkpoint = put(self.store, Path(folder), Kind.CHECKPOINT, step, "checkpoint", token)
            parent = {"checkpoint": checkpoint.manifest_sha256}
            put(self.store, Path(folder), Kind.INDEX, step, "index", token, **parent)

    @rule(reader=st.integers(0, 1))
    def read_newest(self, reader: int) -> None:
        newest = self.store.read_pointer(LAYOUT.pointer("index"))
        if newest is not None:
            self._take(reader, newest.step)

    @rule(reader=st.integers(0, 1), back=st.integers(1, 3))
    def roll_back(self, reader: int, back: int) -> None:
        step = self.step - back
        if published(self.store, LAYOUT.index(step)) is not None:
            self._take(reader, step)

    def _take(self, reader: int, step: int) -> None:
        try:
            self.readers[reader].hold([(Kind.INDEX, step)])
        except ArtifactNotFound:
            return
        self.reading[reader] = step

    @rule()
    def run_retention(self) -> None:
        retain(self.store, LAYOUT, keep=1, grace_seconds=0)

    @invariant()
    def what_is_read_is_there(self) -> None:
        for step in self.reading.values():
            self._assert_readable(step)

    @invariant()
    def the_pointer_names_what_is_there(self) -> None:
        newest = self.store.read_pointer(LAYOUT.pointer("index"))
        if newest is not None:
            self._assert_readable(newest.step)

    def _assert_readable(self, step: int) -> None:
        """The index is whole, and so is the checkpoint that it was made with."""
        index = read_manifest(self.store, manifest_of(LAYOUT.index(step)))
        ref = published(self.store, LAYOUT.checkpoint(step))
        assert ref is not None and ref.manifest_sha256 in index.parents.values()
        for kind in (Kind.INDEX, Kind.CHECKPOINT):
            assert self.store.read(f"{LAYOUT.version(kind, step)}/data.bin") == f"{kind} {step}".encode()

    @invariant()
    def what_is_published_has_its_files(self) -> None:
        """Whatever retention is doing: a reader that finds a manifest finds all that it lists."""
        for kind in (Kind.INDEX, Kind.CHECKPOINT):
            for name in self.store.folders(LAYOUT.versions(kind)):
                prefix = LAYOUT.version(kind, int(name))
                if published(self.store, prefix) is not None:
                    assert self.store.exists(f"{prefix}/data.bin")


TestReading = Reading.TestCase
TestReading.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
