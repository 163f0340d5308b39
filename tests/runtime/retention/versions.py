"""Versions of the run `demo`: as retention plans with them, and as they lie in a store."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ance.runtime.artifacts import publish
from ance.runtime.contracts import ArtifactRef, Kind
from ance.runtime.layout import Pointer, RunLayout
from ance.runtime.retention import Version
from ance.runtime.store import Store

LAYOUT = RunLayout("demo")


def sha(kind: Kind, step: int) -> str:
    return hashlib.sha256(f"{kind} {step}".encode()).hexdigest()


def version(kind: Kind, step: int, *parents: tuple[Kind, int]) -> Version:
    return Version(kind, step, sha(kind, step), frozenset(sha(*parent) for parent in parents))


def ref(kind: Kind, step: int) -> ArtifactRef:
    return ArtifactRef(step=step, manifest_uri="x", manifest_sha256=sha(kind, step), created_at=0)


def steps(versions: list[Version], kind: Kind) -> list[int]:
    return [version.step for version in versions if version.kind is kind]


def put(
    store: Store, tmp_path: Path, kind: Kind, step: int, pointer: Pointer, token: int = 0, **parents: str
) -> ArtifactRef:
    staging = tmp_path / "staging"
    staging.mkdir()
    (staging / "data.bin").write_bytes(f"{kind} {step}".encode())
    return publish(
        store,
        LAYOUT.version(kind, step),
        staging,
        kind=kind,
        step=step,
        fencing_token=token,
        parents=parents,
        pointer=LAYOUT.pointer(pointer),
    )
