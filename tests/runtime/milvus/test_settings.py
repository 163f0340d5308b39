"""Settings that cannot be are refused before the first connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ance.errors import AnceError
from ance.runtime.milvus.settings import MilvusSettings, check_address


def check(**values: Any) -> None:
    check_address(MilvusSettings.model_validate(values))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "set ANCE_MILVUS_URI"),
        ({"milvus_uri": "milvus:19530"}, "ANCE_MILVUS_URI: write http://HOST:PORT"),
        ({"milvus_uri": "./local.db"}, "ANCE_MILVUS_URI: write http://HOST:PORT"),
        ({"milvus_uri": "http://root:secret@milvus:19530"}, "ANCE_MILVUS_TOKEN"),
        ({"milvus_uri": "http://milvus:19530", "milvus_ca_file": "/ca.pem"}, "ANCE_MILVUS_URI is not https"),
        ({"milvus_uri": "https://milvus:19530", "milvus_ca_file": "/no/ca.pem"}, "there is no file /no/ca.pem"),
    ],
)
def test_a_wrong_address_is_an_error_that_names_the_variable(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(AnceError, match=problem) as refused:
        check(**values)
    assert "secret" not in str(refused.value)


def test_tls_with_an_authority_of_its_own_is_an_address(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    check(milvus_uri="https://milvus:19530", milvus_ca_file=tmp_path / "ca.pem", milvus_token="root:secret")


def test_the_token_is_not_shown() -> None:
    assert "secret" not in repr(MilvusSettings.model_validate({"milvus_token": "root:secret"}))
