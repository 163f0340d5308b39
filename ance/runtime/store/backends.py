"""From a store's URL to the file system it is kept on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import fsspec

from ance.errors import AnceError
from ance.runtime.store.writers import FileWriter, MemoryWriter, ObjectWriter, Writer

_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}


class Backend(NamedTuple):
    """What a store reads and writes through."""

    fs: Any
    """An fsspec file system, which has no type of its own to name."""
    root: str
    """Path of the store's root on `fs`, without a slash at the end."""
    writer: Writer


def open_backend(url: str, *, create: bool) -> Backend:
    """The backend of `file:///folder`, a plain path, `memory://name`, `s3://bucket/prefix`, `gs://` or `az://`.

    Raises:
        AnceError: an unknown protocol, one whose package is not installed, or a folder that cannot be made.
    """
    protocol, separator, rest = url.partition("://")
    if not separator or protocol == "file":
        return _folder(url, Path(rest if separator else url).expanduser().absolute(), create)
    if protocol == "memory":
        fs, root = fsspec.core.url_to_fs(url)
        return Backend(fs, root, MemoryWriter(fs))
    if protocol in _PACKAGES:
        return _object_store(url, protocol)
    known = ", ".join(f"{name}://" for name in ("file", *_PACKAGES))
    raise AnceError(f"store {url}: unknown protocol {protocol}://, use a path or one of {known}")


def _folder(url: str, folder: Path, create: bool) -> Backend:
    if create:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AnceError(f"store {url}: the folder cannot be created: {error}") from error
    return Backend(fsspec.filesystem("file"), folder.as_posix().rstrip("/"), FileWriter())


def _object_store(url: str, protocol: str) -> Backend:
    package = _PACKAGES[protocol]
    try:
        # A cached listing would hide what another process has just published.
        fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise AnceError(f"store {url}: the package {package} is not installed: pip install {package}") from error
    return Backend(fs, root.rstrip("/"), ObjectWriter(fs, protocol))
