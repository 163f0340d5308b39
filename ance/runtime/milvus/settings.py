"""How to reach Milvus, from environment variables. The run's configuration only says that it is used."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import NonNegativeFloat, PositiveFloat, SecretStr

from ance.errors import AnceError
from ance.runtime.environment import Environment


class MilvusSettings(Environment):
    """What every process that uses Milvus is told."""

    milvus_uri: str = ""
    """Where Milvus is, e.g. http://milvus:19530, or https:// for TLS. Needed by runs with index.backend milvus."""
    milvus_token: SecretStr = SecretStr("")
    """`user:password` or an API key of Milvus (empty: it asks for none). On Kubernetes it comes from a Secret."""
    milvus_database: str = ""
    """Database of Milvus that holds the collections (empty: the default one)."""
    milvus_ca_file: Path | None = None
    """PEM file of the authority that has signed the certificate of Milvus (unset: the system's authorities)."""
    milvus_timeout_seconds: PositiveFloat = 5.0
    """Longest wait for an answer, also to a search."""
    milvus_build_seconds: PositiveFloat = 3600.0
    """Longest wait for Milvus to come back while a version is written, and to index or load a version."""
    milvus_staleness_seconds: NonNegativeFloat = 5.0
    """Longest time by which a reader of bounded staleness is behind: what Milvus calls common.gracefulTime."""


def check_address(settings: MilvusSettings) -> None:
    """Find contradictions before the first connection.

    Raises:
        AnceError: a variable is missing, or two of them do not fit.
    """
    uri = settings.milvus_uri
    if not uri:
        raise AnceError("index.backend is milvus: set ANCE_MILVUS_URI, e.g. http://milvus:19530")
    url = urlsplit(uri)
    if url.scheme not in ("http", "https") or not url.hostname:
        # Not the value: it may hold a password.
        raise AnceError("ANCE_MILVUS_URI: write http://HOST:PORT, or https://HOST:PORT for TLS")
    if url.username or url.password:
        raise AnceError("ANCE_MILVUS_URI holds a user or password: move them to ANCE_MILVUS_TOKEN, as user:password")
    if settings.milvus_ca_file is not None:
        if url.scheme != "https":
            raise AnceError("ANCE_MILVUS_CA_FILE is set, but ANCE_MILVUS_URI is not https://")
        if not settings.milvus_ca_file.is_file():
            raise AnceError(f"ANCE_MILVUS_CA_FILE: there is no file {settings.milvus_ca_file}")
