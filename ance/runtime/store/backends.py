"""From a store's URL to the file system it is kept on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import fsspec

from ance.errors import AnceError
from ance.runtime.store.file_writer import FileWriter
from ance.runtime.store.object_writer import ConditionalPuts, ObjectWriter
from ance.runtime.store.writers import MemoryWriter, Writer

Translate = Callable[[Exception], OSError | None]
"""What an exception of a file system's library means as an OSError; None if it means nothing of the kind."""


class Backend(NamedTuple):
    """What a store reads and writes through."""

    fs: Any
    """An fsspec file system, which has no type of its own to name."""
    root: str
    """Path of the store's root on `fs`, without a slash at the end."""
    writer: Writer
    translate: Translate = lambda _: None
    read_options: Mapping[str, Any] = {}
    """Of `cat_file`."""
    head: Callable[[str], int] | None = None
    """Bytes of an object, where `fs.info` would take more than one request to say that it is not there."""


def open_backend(url: str, *, create: bool) -> Backend:
    """The backend of `file:///folder`, a plain path, `memory://name`, `s3://bucket/prefix`, `gs://` or `az://`.

    Raises:
        AnceError: an unknown protocol, one whose package is not installed, or a folder that cannot be made.
    """
    protocol, separator, rest = url.partition("://")
    if not separator or protocol == "file":
        return _folder(url, Path(rest if separator else url).expanduser().absolute(), create)
    match protocol:
        case "memory":
            fs, root = fsspec.core.url_to_fs(url)
            return Backend(fs, root, MemoryWriter(fs))
        case "s3":
            from ance.runtime.store import s3

            fs, root = _object_store(url, "s3fs", "S3FileSystem", s3.OPTIONS)
            return _of_objects(fs, root, s3.S3Objects(fs), s3.as_os_error, s3.READ_OPTIONS)
        case "gs" | "gcs":
            from ance.runtime.store import gcs

            # Not the class that gcsfs registers, which asks for the kind of the bucket before it does anything.
            fs, root = _object_store(url, "gcsfs.core", "GCSFileSystem", gcs.OPTIONS)
            return _of_objects(fs, root, gcs.GcsObjects(fs), gcs.as_os_error)
        case "az" | "abfs":
            from ance.runtime.store import azure

            fs, root = _object_store(url, "adlfs", "AzureBlobFileSystem", azure.OPTIONS)
            return _of_objects(fs, root, azure.AzureObjects(fs), azure.as_os_error)
    known = ", ".join(f"{name}://" for name in ("file", "s3", "gs", "az"))
    raise AnceError(f"store {url}: unknown protocol {protocol}://, use a path or one of {known}")


def _folder(url: str, folder: Path, create: bool) -> Backend:
    if create:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AnceError(f"store {url}: the folder cannot be created: {error}") from error
    return Backend(fsspec.filesystem("file"), folder.as_posix().rstrip("/"), FileWriter())


def _object_store(url: str, module: str, name: str, options: dict[str, Any]) -> tuple[Any, str]:
    package = module.partition(".")[0]
    try:
        kind = getattr(import_module(module), name)
    except ImportError as error:
        raise AnceError(f"store {url}: the package {package} is not installed: pip install {package}") from error
    try:
        # A cached listing would hide what another process has just published.
        fs = kind(**{**kind._get_kwargs_from_urls(url), **options, "use_listings_cache": False})
    except ValueError as error:  # adlfs without an account
        named = "AZURE_STORAGE_ACCOUNT_NAME or AZURE_STORAGE_CONNECTION_STRING"
        raise AnceError(f"store {url}: {error} (name the account in {named})") from error
    return fs, kind._strip_protocol(url).rstrip("/")


def _of_objects(
    fs: Any, root: str, objects: ConditionalPuts, translate: Translate, read_options: Mapping[str, Any] = {}
) -> Backend:
    return Backend(fs, root, ObjectWriter(fs, objects), translate, read_options, objects.size)
