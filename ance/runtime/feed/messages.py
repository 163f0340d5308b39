"""Checkpoints on the wire, and which of two is to be believed."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from ance.runtime.contracts import ArtifactRef
from ance.runtime.rpc import checkpoint_pb2 as pb


def to_message(run_id: str, ref: ArtifactRef) -> pb.Checkpoint:
    """The message that carries `ref`. Times are rounded to microseconds, which is what a float64 holds."""
    created_at = Timestamp()
    created_at.FromMicroseconds(round(ref.created_at * 1_000_000))
    return pb.Checkpoint(
        run_id=run_id,
        step=ref.step,
        manifest_uri=ref.manifest_uri,
        manifest_sha256=ref.manifest_sha256,
        created_at=created_at,
        fencing_token=ref.fencing_token,
        final=ref.final,
        traceparent=ref.traceparent,
    )


def to_ref(message: pb.Checkpoint) -> ArtifactRef:
    """The reference that `message` carries.

    Raises:
        ValidationError: the message is not a checkpoint, e.g. its hash is malformed.
    """
    return ArtifactRef(
        step=message.step,
        manifest_uri=message.manifest_uri,
        manifest_sha256=message.manifest_sha256,
        created_at=message.created_at.ToMicroseconds() / 1_000_000,
        fencing_token=message.fencing_token,
        final=message.final,
        traceparent=message.traceparent,
    )


def is_newer(ref: ArtifactRef, known: ArtifactRef | None) -> bool:
    """Whether `ref` may replace `known`: a later step, and not from a trainer that has been replaced."""
    return known is None or (ref.step > known.step and ref.fencing_token >= known.fencing_token)
