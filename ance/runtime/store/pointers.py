"""`latest` pointers: the one way to find the newest version, and the rule by which they only move forward."""

from __future__ import annotations

from pydantic import ValidationError

from ance.errors import AnceError
from ance.runtime.contracts import ArtifactRef, describe


class StaleFencingToken(AnceError):
    """A publisher that has lost its lease is refused: a newer one has published since."""


def parse_pointer(data: bytes, where: str) -> ArtifactRef:
    """The version that a pointer names. `where` names the pointer in errors.

    Raises:
        AnceError: the bytes are not a pointer.
    """
    try:
        return ArtifactRef.model_validate_json(data)
    except ValidationError as error:
        raise AnceError(f"{where} is not a pointer, delete it: {describe(error)}") from error


def supersedes(ref: ArtifactRef, present: ArtifactRef, where: str) -> bool:
    """Whether `ref` comes after what a pointer names at present.

    It does with a newer step, with the same step published again under a newer lease, or when the same
    content turns out to be the run's last.

    Raises:
        StaleFencingToken: the pointer was moved under a newer lease than that of `ref`.
    """
    if ref.fencing_token < present.fencing_token:
        raise StaleFencingToken(
            f"{where} names step {present.step} under fencing token {present.fencing_token}: "
            f"step {ref.step} under the older token {ref.fencing_token} is refused"
        )
    return (
        ref.step > present.step
        or (ref.step == present.step and ref.fencing_token > present.fencing_token)
        or (same_artifact(ref, present) and ref.final and not present.final)
    )


def same_artifact(one: ArtifactRef, other: ArtifactRef) -> bool:
    """Whether two refs name the same bytes."""
    return one.manifest_sha256 == other.manifest_sha256
