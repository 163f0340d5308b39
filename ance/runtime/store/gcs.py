"""Google Cloud Storage: conditions are parameters, versions are generations.

Credentials are the application default ones, such as the identity of the pod. STORAGE_EMULATOR_HOST names
another endpoint. Buckets with a hierarchical namespace are used as flat ones.
"""

from __future__ import annotations

import io
import json
import uuid
from types import MethodType
from typing import Any
from urllib.parse import quote

from fsspec.asyn import sync

OPTIONS: dict[str, Any] = {}
"""Of gcsfs."""
CONNECT_SECONDS = 5
READ_SECONDS = 30

_ABSENT = "0"
_RETRIED = ("_request", "_get_file_request", "_get_file_concurrent")


class GcsObjects:
    """Conditional puts by ifGenerationMatch. Generation 0 stands for no object."""

    def __init__(self, fs: Any) -> None:
        import aiohttp

        # The store retries by itself, says so in the log, and stops on SIGTERM: gcsfs waits half a minute for each
        # of these, one within the other, and has no setting for it.
        for name in _RETRIED:
            setattr(fs, name, MethodType(getattr(type(fs), name).__wrapped__, fs))
        # Its own limit, five minutes for a whole answer, would be too little for a large file.
        fs.requests_timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        self._fs = fs

    def read(self, path: str) -> tuple[bytes, str] | None:
        try:
            headers, data = self._call("GET", self._fs.url(path))
        except FileNotFoundError:
            return None
        return data, headers["x-goog-generation"]

    def put(self, path: str, data: bytes, version: str | None) -> bool:
        bucket, key, _ = self._fs.split_path(path)
        boundary = uuid.uuid4().hex
        try:
            self._call(
                "POST",
                f"{self._fs._location}/upload/storage/v1/b/{quote(bucket)}/o",
                uploadType="multipart",
                ifGenerationMatch=version or _ABSENT,
                headers={"Content-Type": f"multipart/related; boundary={boundary}"},
                data=io.BytesIO(_with_name(key, data, boundary.encode())),
            )
        except FileExistsError:  # what gcsfs makes of 412
            return False
        return True

    def size(self, path: str) -> int:
        bucket, key, _ = self._fs.split_path(path)
        return int(self._call("GET", "b/{}/o/{}", bucket, key, fields="size", json_out=True)["size"])

    def _call(self, *positional: Any, **named: Any) -> Any:
        return sync(self._fs.loop, self._fs._call, *positional, **named)


def as_os_error(error: Exception) -> OSError | None:
    """What gcsfs and the libraries below it raise when no answer came, or it was no."""
    import aiohttp
    from gcsfs.retry import HttpError, is_retriable
    from google.auth.exceptions import GoogleAuthError, TransportError

    text = str(error) or type(error).__name__
    if is_retriable(error) or isinstance(error, aiohttp.ClientError | TransportError):
        return ConnectionError(text)
    # A status of 403 is a plain OSError, a bad request a ValueError.
    if isinstance(error, HttpError | GoogleAuthError | ValueError) or text.startswith("Forbidden: "):
        return PermissionError(" ".join(text.split()))
    return None


def _with_name(key: str, data: bytes, boundary: bytes) -> bytes:
    """The body of an upload in one request: metadata, then the object's bytes."""
    name = json.dumps({"name": key}).encode()
    return b"\r\n".join(
        (
            *(b"--%b" % boundary, b"Content-Type: application/json", b"", name),
            *(b"--%b" % boundary, b"Content-Type: application/octet-stream", b"", data),
            *(b"--%b--" % boundary, b""),
        )
    )
