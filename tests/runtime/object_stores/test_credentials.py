"""Credentials that are missing or wrong are said at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ance.errors import AnceError
from ance.runtime.store import Store
from ance.runtime.store.backends import open_backend
from tests.object_stores import az_environment


def test_missing_credentials_of_s3_are_said_at_once(
    object_store: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = open_backend(object_store("s3"), create=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    stranger = type(backend.fs)(skip_instance_cache=True)
    with pytest.raises(AnceError, match="Unable to locate credentials"):
        Store("s3://x", backend._replace(fs=stranger), retry_seconds=60).read("a")


def test_a_wrong_key_of_azure_is_said_at_once(object_store: Callable[[str], str]) -> None:
    backend = open_backend(object_store("az"), create=False)
    endpoint = backend.fs.service_client.url.rstrip("/").rpartition("/")[0]
    stranger = type(backend.fs)(
        connection_string=az_environment(endpoint, key="b3RoZXI=")["AZURE_STORAGE_CONNECTION_STRING"],
        skip_instance_cache=True,
    )
    with pytest.raises(AnceError, match="could not read a: Server failed to authenticate the request"):
        Store("az://x", backend._replace(fs=stranger), retry_seconds=60).read("a")


def test_an_azure_without_an_account_is_said(
    object_store: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = object_store("az")
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    kind = type(open_backend(url, create=False).fs)
    kind.clear_instance_cache()
    with pytest.raises(AnceError, match="AZURE_STORAGE_ACCOUNT_NAME"):
        Store.open(url)
