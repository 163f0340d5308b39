"""What an end of the checkpoint feed shows to the other, and whom it believes: a token, and the files of TLS."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from ance.errors import AnceError


@dataclass(frozen=True, slots=True)
class FeedCredentials:
    """The credentials of the trainer, or of a watcher. `repr` has no token.

    Args:
        token: the trainer asks for it, a watcher shows it; empty for none.
        ca_file: PEM file of an authority. A watcher believes trainers with its certificates, and speaks TLS; a trainer
            asks watchers for one of its certificates.
        cert_file: PEM file of this process's own certificate. A trainer with one speaks TLS only.
        key_file: PEM file of its private key.

    Raises:
        AnceError: the token can't be sent, or a file is missing, unusable or has no counterpart.
    """

    token: str = field(default="", repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def __post_init__(self) -> None:
        if not all("!" <= sign <= "~" for sign in self.token):
            raise AnceError(
                "ANCE_FEED_TOKEN has white space or other signs that no header carries (perhaps the end of a line, "
                "from the file that it came from): make it of letters and digits"
            )
        if (self.cert_file is None) != (self.key_file is None):
            raise AnceError("ANCE_FEED_CERT_FILE and ANCE_FEED_KEY_FILE go together: set both or neither")
        for variable, file in self._files.items():
            if not file.is_file():
                raise AnceError(f"{variable}: there is no file {file}: mount the secret that holds it")
        self.check()

    def check(self) -> None:
        """Find files that are not what they should be, which gRPC would only tell on stderr.

        Raises:
            AnceError: a file can't be used; the message names it.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if self.ca_file is not None:
                context.load_verify_locations(self.ca_file)
        except OSError as error:  # also what ssl raises
            raise AnceError(f"ANCE_FEED_CA_FILE: {self.ca_file} is no certificate in PEM: {error}") from error
        try:
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file, password="")  # else it would ask the terminal
        except OSError as error:
            raise AnceError(
                f"ANCE_FEED_CERT_FILE, ANCE_FEED_KEY_FILE: {self.cert_file} and {self.key_file} are no certificate in "
                f"PEM and its private key, without a password: {error}"
            ) from error

    @property
    def _files(self) -> dict[str, Path]:
        given = {
            "ANCE_FEED_CA_FILE": self.ca_file,
            "ANCE_FEED_CERT_FILE": self.cert_file,
            "ANCE_FEED_KEY_FILE": self.key_file,
        }
        return {variable: file for variable, file in given.items() if file is not None}


NO_CREDENTIALS = FeedCredentials()
"""Of a feed that asks nobody for anything."""
