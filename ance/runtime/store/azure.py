"""Azure Blob Storage: conditions are match conditions, versions are ETags.

The account comes from AZURE_STORAGE_ACCOUNT_NAME, credentials from AZURE_STORAGE_ACCOUNT_KEY and its like, or from
the identity of the pod. AZURE_STORAGE_CONNECTION_STRING names both, and another endpoint.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fsspec.asyn import sync

OPTIONS: dict[str, Any] = {"anon": False}
"""Of adlfs."""

_FOLDER = "hdi_isfolder"
"""Metadata of the blobs that stand for folders in an account with a hierarchical namespace."""
_TRANSIENT = {408, 429}
_OVERTAKEN = "InvalidBlockList"
"""Another writer has committed its blocks, which drops those that this one has sent."""


class AzureObjects:
    """Conditional puts by match conditions."""

    def __init__(self, fs: Any) -> None:
        # The store retries by itself, says so in the log, and stops on SIGTERM: the library waits a minute.
        fs.service_client._config.retry_policy.total_retries = 0
        self._fs = fs

    def read(self, path: str) -> tuple[bytes, str] | None:
        from azure.core.exceptions import ResourceNotFoundError

        async def download(blob: Any) -> tuple[bytes, str]:
            stream = await blob.download_blob()
            return await stream.readall(), stream.properties.etag

        try:
            found: tuple[bytes, str] = self._with_blob(path, download)
        except ResourceNotFoundError:
            return None
        return found

    def put(self, path: str, data: bytes, version: str | None) -> bool:
        from azure.core import MatchConditions
        from azure.core.exceptions import (
            HttpResponseError,
            ResourceExistsError,
            ResourceModifiedError,
            ResourceNotFoundError,
        )

        if version is None:
            condition: dict[str, Any] = {"overwrite": False}
        else:
            condition = {"overwrite": True, "etag": version, "match_condition": MatchConditions.IfNotModified}
        try:
            self._with_blob(path, lambda blob: blob.upload_blob(data, **condition))
        except (ResourceExistsError, ResourceModifiedError):
            return False
        except ResourceNotFoundError as error:
            if version is not None:  # deleted since it was read
                return False
            raise FileNotFoundError(path) from error  # the container
        except HttpResponseError as error:
            if getattr(error, "error_code", None) == _OVERTAKEN:
                return False
            raise
        return True

    def size(self, path: str) -> int:
        properties = self._with_blob(path, lambda blob: blob.get_blob_properties())
        if _FOLDER in {name.lower() for name in properties.metadata}:
            raise FileNotFoundError(path)
        return int(properties.size)

    def _with_blob(self, path: str, use: Callable[[Any], Awaitable[Any]]) -> Any:
        container, name, _ = self._fs.split_path(path)

        async def used() -> Any:
            async with self._fs.service_client.get_blob_client(container=container, blob=name) as blob:
                return await use(blob)

        return sync(self._fs.loop, used)


def as_os_error(error: Exception) -> OSError | None:
    """What adlfs and the libraries below it raise when no answer came, or it was no."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):  # adlfs' deletions
        return as_os_error(error.__cause__)
    if not isinstance(error, AzureError):
        return None
    text = str(error).partition("\n")[0]  # what follows is for Azure's support
    if isinstance(error, ResourceNotFoundError):
        return FileNotFoundError(text)
    status = error.status_code if isinstance(error, HttpResponseError) else None
    refused = status is not None and 400 <= status < 500 and status not in _TRANSIENT
    if refused or isinstance(error, ClientAuthenticationError):
        return PermissionError(text)
    return ConnectionError(text)
