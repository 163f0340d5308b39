"""Where Redis is and who we are to it: a URL, with the credentials apart from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ance.errors import AnceError

SENTINEL_SCHEMES = {"redis+sentinel", "rediss+sentinel"}
_TLS_SCHEMES = {"rediss", "rediss+sentinel"}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One Redis and the credentials to show it. Neither `repr` nor `shown` has a password.

    Args:
        url: as of `ance.runtime.redis.client.connect`. Without credentials where `username` or `password` are given.
        username: ACL user; empty for the default user.
        password: of the user; empty for none.
        ca_file: PEM file of the authority that has signed the server's certificate (None: the system's).
        cert_file: PEM file of the client's own certificate, where the server asks for one.
        key_file: PEM file of its private key.

    Raises:
        AnceError: credentials are given twice, a file is missing or has no counterpart, or files are given
            for a connection without TLS.
    """

    url: str = field(repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def __post_init__(self) -> None:
        if (self.username or self.password) and "@" in urlsplit(self.url).netloc:
            raise AnceError(
                f"ANCE_REDIS_URL ({self.shown}) has credentials, and so have ANCE_REDIS_USERNAME or "
                "ANCE_REDIS_PASSWORD: leave them out of the URL"
            )
        if self.username and not self.password:
            raise AnceError("ANCE_REDIS_USERNAME is set and ANCE_REDIS_PASSWORD is not: set both")
        if (self.cert_file is None) != (self.key_file is None):
            raise AnceError("ANCE_REDIS_CERT_FILE and ANCE_REDIS_KEY_FILE go together: set both or neither")
        for variable, file in self._files.items():
            if not self.tls:
                raise AnceError(f"{variable} is set, but {self.shown} has no TLS: begin ANCE_REDIS_URL with rediss")
            if not file.is_file():
                raise AnceError(f"{variable}: there is no file {file}: mount the secret that holds it")

    @property
    def scheme(self) -> str:
        """The URL's, such as `rediss`."""
        return urlsplit(self.url).scheme

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.scheme in _TLS_SCHEMES

    @property
    def shown(self) -> str:
        """The URL without its credentials and options, fit for a log."""
        scheme, separator, rest = self.url.partition("://")
        return f"{scheme}{separator}{rest.rpartition('@')[2].partition('?')[0]}"

    @property
    def identity(self) -> dict[str, Any]:
        """User and password as redis-py takes them, from wherever they were given; nothing where there are none."""
        user, _, password = urlsplit(self.url).netloc.rpartition("@")[0].partition(":")
        named = {"username": self.username or unquote(user), "password": self.password or unquote(password)}
        return {key: value for key, value in named.items() if value}

    @property
    def encryption(self) -> dict[str, Any]:
        """The files of TLS as redis-py takes them."""
        names = {"ssl_ca_certs": self.ca_file, "ssl_certfile": self.cert_file, "ssl_keyfile": self.key_file}
        return {name: str(file) for name, file in names.items() if file is not None}

    @property
    def _files(self) -> dict[str, Path]:
        given = {
            "ANCE_REDIS_CA_FILE": self.ca_file,
            "ANCE_REDIS_CERT_FILE": self.cert_file,
            "ANCE_REDIS_KEY_FILE": self.key_file,
        }
        return {variable: file for variable, file in given.items() if file is not None}
