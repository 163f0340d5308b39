"""Google Cloud Storage: conditions are parameters, versions are generations.

Credentials are the application default ones, such as the identity of the pod. STORAGE_EMULATOR_HOST names
another endpoint.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fsspec.asyn import sync

OPTIONS: dict[str, Any] = {}
"""Of gcsfs."""

_ABSENT = "0"
_PRECONDITION_FAILED = 412


class GcsObjects:
    """Conditional puts by ifGenerationMatch. Generation 0 stands for no object."""

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def read(self, path: str) -> tuple[bytes, str] | None:
        try:
            found: tuple[bytes, str] = sync(self._fs.loop, self._read, path)
        except FileNotFoundError:
            return None
        return found

    def put(self, path: str, data: bytes, version: str | None) -> bool:
        from gcsfs.retry import HttpError

        try:
            sync(self._fs.loop, self._put, path, data, version or _ABSENT)
        except FileExistsError:
            return False
        except (HttpError, OSError) as error:
            if _status(error) == _PRECONDITION_FAILED:
                return False
            raise
        return True

    async def _read(self, path: str) -> tuple[bytes, str]:
        headers, data = await self._fs._call("GET", self._fs.url(path))
        return data, headers["x-goog-generation"]

    async def _put(self, path: str, data: bytes, generation: str) -> None:
        bucket, key, _ = self._fs.split_path(path)
        await self._fs._call(
            "POST",
            f"{self._fs._location}/upload/storage/v1/b/{quote(bucket)}/o",
            uploadType="media",
            name=key,
            ifGenerationMatch=generation,
            headers={"Content-Type": "application/octet-stream"},
            data=data,
        )


def as_os_error(error: Exception) -> OSError | None:
    """What the libraries below gcsfs raise when no answer came, or it was no."""
    import aiohttp
    from gcsfs.retry import HttpError, is_retriable
    from google.auth.exceptions import GoogleAuthError

    if is_retriable(error) or isinstance(error, aiohttp.ClientError):
        return ConnectionError(str(error))
    if isinstance(error, HttpError | GoogleAuthError):
        return PermissionError(str(error))
    return None


def _status(error: Exception) -> int | None:
    code = getattr(error, "code", None)
    return int(code) if code is not None else None
