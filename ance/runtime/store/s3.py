"""S3 and what speaks its protocol (MinIO, Ceph, R2): conditions are headers, versions are ETags.

Endpoint, region and credentials come from where every AWS tool takes them: AWS_ENDPOINT_URL, AWS_REGION,
AWS_ACCESS_KEY_ID, or the identity of the pod.
"""

from __future__ import annotations

from typing import Any

from fsspec.asyn import sync

PART_BYTES = 32 << 20
"""Size of the parts, sent side by side, of objects that are larger than two of them."""
OPTIONS = {
    "default_block_size": PART_BYTES,
    "config_kwargs": {
        # The store retries by itself, says so in the log, and stops on SIGTERM: libraries do neither.
        "retries": {"total_max_attempts": 2, "mode": "standard"},
        "connect_timeout": 5,
        "read_timeout": 30,
        "max_pool_connections": 32,
    },
}
"""Of s3fs."""
READ_OPTIONS = {"max_concurrency": 1}
"""Of reads into memory: one request, instead of another before it for the size."""
LIBRARY_ATTEMPTS = 2

_CONFLICTS = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


class S3Objects:
    """Conditional puts by If-None-Match and If-Match."""

    def __init__(self, fs: Any) -> None:
        fs.retries = LIBRARY_ATTEMPTS
        self._fs = fs

    def read(self, path: str) -> tuple[bytes, str] | None:
        try:
            found: tuple[bytes, str] = sync(self._fs.loop, self._read, path)
        except FileNotFoundError:
            return None
        return found

    def put(self, path: str, data: bytes, version: str | None) -> bool:
        try:
            if version is None:
                # Large objects go up in parts: the condition then holds for the moment of completion.
                self._fs.pipe_file(path, data, mode="create", chunksize=PART_BYTES)
            else:
                bucket, key, _ = self._fs.split_path(path)
                self._call("put_object", Bucket=bucket, Key=key, Body=data, IfMatch=version)
        except (FileExistsError, FileNotFoundError) as error:
            if isinstance(error, FileNotFoundError) and version is None:
                raise  # the bucket
            return False
        except OSError as error:
            if _code(error) in _CONFLICTS:
                return False
            raise
        return True

    def size(self, path: str) -> int:
        bucket, key, _ = self._fs.split_path(path)
        return int(self._call("head_object", Bucket=bucket, Key=key)["ContentLength"])

    def _call(self, method: str, **arguments: Any) -> Any:
        return sync(self._fs.loop, self._fs._call_s3, method, **arguments)

    async def _read(self, path: str) -> tuple[bytes, str]:
        bucket, key, _ = self._fs.split_path(path)
        answer = await self._fs._call_s3("get_object", Bucket=bucket, Key=key)
        async with answer["Body"] as body:
            return await body.read(), answer["ETag"]


def as_os_error(error: Exception) -> OSError | None:
    """What the libraries below s3fs raise when no answer came, or none could be asked for."""
    import aiohttp
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError

    outages = (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError, ResponseParserError)
    if isinstance(error, (*outages, aiohttp.ClientError)):
        return ConnectionError(str(error))
    if isinstance(error, boto.BotoCoreError):  # no credentials, no region, a name that is none
        return PermissionError(str(error))
    return None


def _code(error: OSError) -> str:
    """The store's own word for an error that s3fs has translated."""
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
