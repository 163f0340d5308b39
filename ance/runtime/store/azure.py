"""Azure Blob Storage: conditions are match conditions, versions are ETags.

The account comes from AZURE_STORAGE_ACCOUNT_NAME, credentials from AZURE_STORAGE_ACCOUNT_KEY and its like, or,
with AZURE_STORAGE_ANON=false, from the identity of the pod.
"""

from __future__ import annotations

from typing import Any

from fsspec.asyn import sync

OPTIONS: dict[str, Any] = {}
"""Of adlfs."""


class AzureObjects:
    """Conditional puts by match conditions."""

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def read(self, path: str) -> tuple[bytes, str] | None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            found: tuple[bytes, str] = sync(self._fs.loop, self._read, path)
        except (FileNotFoundError, ResourceNotFoundError):
            return None
        return found

    def put(self, path: str, data: bytes, version: str | None) -> bool:
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

        if version is None:
            condition: dict[str, Any] = {"overwrite": False}
        else:
            condition = {"overwrite": True, "etag": version, "match_condition": MatchConditions.IfNotModified}
        try:
            sync(self._fs.loop, self._put, path, data, condition)
        except (ResourceExistsError, ResourceModifiedError):
            return False
        except ResourceNotFoundError as error:
            if version is not None:  # deleted since it was read
                return False
            raise FileNotFoundError(path) from error
        return True

    async def _read(self, path: str) -> tuple[bytes, str]:
        async with self._client(path) as blob:
            stream = await blob.download_blob()
            return await stream.readall(), stream.properties.etag

    async def _put(self, path: str, data: bytes, condition: dict[str, Any]) -> None:
        async with self._client(path) as blob:
            await blob.upload_blob(data=data, **condition)

    def _client(self, path: str) -> Any:
        container, name, _ = self._fs.split_path(path)
        return self._fs.service_client.get_blob_client(container=container, blob=name)


def as_os_error(error: Exception) -> OSError | None:
    """What the libraries below adlfs raise when no answer came, or it was no."""
    from azure.core.exceptions import (
        AzureError,
        ClientAuthenticationError,
        HttpResponseError,
        ResourceNotFoundError,
    )

    if isinstance(error, ResourceNotFoundError):
        return FileNotFoundError(str(error))
    if isinstance(error, ClientAuthenticationError):
        return PermissionError(str(error))
    if isinstance(error, HttpResponseError) and 400 <= (error.status_code or 0) < 500 and error.status_code != 429:
        return PermissionError(str(error))
    return ConnectionError(str(error)) if isinstance(error, AzureError) else None
