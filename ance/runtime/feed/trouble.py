"""Why a stream of the feed ended, in words that say what to do."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import grpc

from ance.runtime.feed.credentials import FeedCredentials

NO_CONNECTION = "failed to connect"
NO_HANDSHAKE = ("handshake", "Verification Check")
"""What gRPC says beside that when the ends agree on no TLS."""
HUNG_UP = ("Socket closed", "reset by peer")
"""What a side hears that has no TLS, or no certificate; and whoever calls a trainer that is away, through a proxy."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with the feed, and how much it matters."""

    text: str
    level: int = logging.WARNING


def diagnose(error: grpc.RpcError, credentials: FeedCredentials, *, heard: bool) -> Trouble:
    """The trouble behind a failed call. A trainer that is away is none that anybody must mend.

    Args:
        error: of the call.
        credentials: of this process.
        heard: the trainer has been heard with them before, so they are not what makes it hang up.
    """
    details = error.details() or error.code().name
    if error.code() is not grpc.StatusCode.UNAVAILABLE:
        return Trouble(details)
    signs = NO_HANDSHAKE if heard else (*NO_HANDSHAKE, *HUNG_UP)
    if NO_CONNECTION not in details or not any(sign in details for sign in signs):
        return Trouble(details, logging.INFO)
    if credentials.ca_file is None:
        return Trouble(
            f"{details}; if the trainer speaks TLS, set ANCE_FEED_CA_FILE to the authority of its certificate"
        )
    shown = "of an authority that it knows" if credentials.cert_file else "and ANCE_FEED_KEY_FILE"
    return Trouble(
        f"{details}; check that the trainer speaks TLS, that its certificate is from ANCE_FEED_CA_FILE and for the "
        f"host in ANCE_FEED, and, if it asks for one, that this process has ANCE_FEED_CERT_FILE {shown}"
    )
