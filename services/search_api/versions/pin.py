"""A rollback: one version pinned for all replicas, in the store, where retention sees it too."""

from __future__ import annotations

from typing import Literal

from ance.runtime.artifacts import published
from ance.runtime.contracts import ArtifactRef
from ance.runtime.run import OpenRun
from services.search_api.settings import SearchSettings


class UnknownVersion(Exception):
    """There is no such version in the store."""


def read_pin(run: OpenRun[SearchSettings]) -> ArtifactRef | None:
    """The version that every replica is held at, if any.

    Raises:
        AnceError: the store does not answer.
    """
    return run.store.read_pointer(run.layout.pointer("pin"))


def write_pin(run: OpenRun[SearchSettings], version: int | Literal["best"]) -> ArtifactRef:
    """Hold every replica at a version: a step, or the one that is best on the dev split so far.

    Raises:
        UnknownVersion: it is not in the store, or no more.
        AnceError: the store does not answer, or may not be written.
    """
    if version == "best":
        ref = run.store.read_pointer(run.layout.pointer("best"))
        if ref is None:
            raise UnknownVersion("no version was measured on a dev split; GET /v1/indexes lists those that are there")
    else:
        ref = published(run.store, run.layout.index(version))
        if ref is None:
            raise UnknownVersion(f"no index of version {version} is in the store; GET /v1/indexes lists those that are")
    run.store.write(run.layout.pointer("pin"), ref.model_dump_json(indent=1).encode())
    return ref


def remove_pin(run: OpenRun[SearchSettings]) -> None:
    """Let every replica follow the newest version again.

    Raises:
        AnceError: the store does not answer, or may not be written.
    """
    run.store.delete(run.layout.pointer("pin"))
