"""TLS on both ends of the feed. The files are read again for every connection: what is renewed needs no restart."""

from __future__ import annotations

from pathlib import Path

import grpc

from ance.errors import AnceError
from ance.runtime.feed.channel import CLIENT_OPTIONS
from ance.runtime.feed.credentials import FeedCredentials


def server_credentials(credentials: FeedCredentials) -> grpc.ServerCredentials | None:
    """What gRPC listens with; None for a server without TLS.

    Raises:
        AnceError: an authority is named, but no certificate of the server's own.
    """
    if credentials.cert_file is None or credentials.key_file is None:
        if credentials.ca_file is not None:
            raise AnceError(
                "ANCE_FEED_CA_FILE is set, and the trainer has no certificate of its own: set ANCE_FEED_CERT_FILE and "
                "ANCE_FEED_KEY_FILE, too"
            )
        return None
    pair = (credentials.key_file, credentials.cert_file)
    authority = credentials.ca_file

    def read() -> grpc.ServerCertificateConfiguration:
        key, chain = (file.read_bytes() for file in pair)
        return grpc.ssl_server_certificate_configuration([(key, chain)], _read(authority))

    return grpc.dynamic_ssl_server_credentials(read(), read, require_client_authentication=authority is not None)


def require_authority(credentials: FeedCredentials) -> None:
    """Refuse a watcher that has a certificate to show and nobody to believe.

    Raises:
        AnceError: so it is.
    """
    if credentials.cert_file is not None and credentials.ca_file is None:
        raise AnceError(
            "ANCE_FEED_CERT_FILE is set and ANCE_FEED_CA_FILE is not: name the authority of the trainer's certificate"
        )


def open_channel(target: str, credentials: FeedCredentials) -> grpc.Channel:
    """A channel to the trainer, with TLS where an authority is named.

    Raises:
        AnceError: a file can't be used any more.
    """
    if credentials.ca_file is None:
        return grpc.insecure_channel(target, options=CLIENT_OPTIONS)
    credentials.check()
    secure = grpc.ssl_channel_credentials(
        _read(credentials.ca_file), _read(credentials.key_file), _read(credentials.cert_file)
    )
    return grpc.secure_channel(target, secure, options=CLIENT_OPTIONS)


def _read(file: Path | None) -> bytes | None:
    return None if file is None else file.read_bytes()
