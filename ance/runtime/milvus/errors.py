"""Errors of Milvus and of the way to it, in words that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ance.errors import AnceError, TemporaryError


class MilvusAway(TemporaryError):
    """Milvus cannot be asked, or cannot do now what it is asked for. What it holds may be sound."""


class MilvusRefusal(AnceError):
    """Milvus has no such collection, or will never do such a thing."""


_NO_SUCH_COLLECTION = {4, 100}
"""`CollectionNotExists` by its old and by its new number."""
_BAD_REQUEST = {6, *range(1100, 1200)}
"""`IllegalArgument`, and the numbers of invalid parameters."""


@contextmanager
def translated(what: str, uri: str) -> Iterator[None]:
    """Raise what pymilvus raises in the block as our own.

    Args:
        what: names the operation, e.g. `search in ance_demo__3__1_0a1b2c3d`.
        uri: of Milvus.

    Raises:
        MilvusRefusal: it makes no sense to ask again.
        MilvusAway: it does.
    """
    import grpc
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except grpc.RpcError as error:
        raise _from_rpc(error, what, uri) from error
    except MilvusException as error:
        # Its cause is often itself (pymilvus raises `error from error`), its context is what has happened.
        if isinstance(error.__context__, grpc.RpcError):
            raise _from_rpc(error.__context__, what, uri) from error
        problem = f"Milvus at {uri}: {what}: {_one_line(error.message)}"
        if error.is_input_error or error.code in _NO_SUCH_COLLECTION | _BAD_REQUEST:
            raise MilvusRefusal(problem) from error
        raise MilvusAway(problem) from error


def _from_rpc(error: object, what: str, uri: str) -> AnceError:
    import grpc

    assert isinstance(error, grpc.RpcError)
    code = error.code()
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        # No fault of what is asked for, and a Secret can be mended while we run.
        return MilvusAway(f"Milvus at {uri} refuses ANCE_MILVUS_TOKEN: {what}: {_one_line(error.details())}")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return MilvusRefusal(f"Milvus at {uri} does not know how to: {what}; is it Milvus 2.4 or newer?")
    return MilvusAway(
        f"Milvus at {uri} does not answer ({code.name}): {what}: check ANCE_MILVUS_URI, and that it runs: "
        f"{_one_line(error.details())}"
    )


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())
