"""Connections to Redis (6.2 and newer, or Valkey) that outlive restarts and failovers."""

from __future__ import annotations

import logging
import time
from typing import Any
from urllib.parse import urlsplit

from redis import Redis, exceptions
from redis.backoff import ExponentialBackoff
from redis.exceptions import ReadOnlyError, ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel

from ance.errors import AnceError, TemporaryError
from ance.runtime.outage import OutageLog
from ance.runtime.redis.address import SENTINEL_SCHEMES, RedisAddress

logger = logging.getLogger(__name__)

OUTAGE = (exceptions.ConnectionError, exceptions.TimeoutError, ReadOnlyError)
"""Errors that pass by themselves: Redis restarts, is loading, fails over, or has no master just now."""

REFUSED = (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.NoPermissionError)

COMMAND_SECONDS = 10.0
"""Time a command may take, blocking reads included: block for less than this."""


class ReconnectingRedis(Redis):
    """A client that leaves a demoted master: READONLY means reconnect and ask again, also inside a script."""

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """Read one reply."""
        try:
            return super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        except ReadOnlyError:
            raise
        except ResponseError as error:
            # Redis 6.2 wraps a script's READONLY in a generic error, which redis-py would not retry.
            if "-READONLY" in str(error):
                raise ReadOnlyError(str(error)) from error
            raise


def connect(address: RedisAddress | str, *, grace_seconds: float = 30.0) -> Redis:
    """Connect to Redis, waiting up to `grace_seconds` for it to answer. The client is thread-safe.

    Args:
        address: or a URL alone: `redis://[user:password@]host[:port][/db]`, `rediss://` for TLS, `unix://`, or
            `redis+sentinel://[user:password@]host:port[,host:port]/master[/db]` (`rediss+sentinel://` for TLS to
            sentinels and master). Credentials are those of the master; sentinels are asked without.

    Raises:
        AnceError: the URL is not valid, or the credentials are refused.
        TemporaryError: nothing answers within the grace.
    """
    if isinstance(address, str):
        address = RedisAddress(address)
    client = _client(address)
    outage = OutageLog("start-up")
    deadline = time.monotonic() + grace_seconds
    while True:
        try:
            client.ping()
        except REFUSED as error:
            client.close()
            raise AnceError(
                f"redis at {address.shown} refuses the user or password: {error}; "
                "correct ANCE_REDIS_USERNAME and ANCE_REDIS_PASSWORD"
            ) from error
        except OUTAGE as error:
            if time.monotonic() >= deadline:
                client.close()
                raise TemporaryError(
                    f"redis at {address.shown} does not answer after {grace_seconds:g} s ({error}): "
                    "start it, or correct ANCE_REDIS_URL"
                ) from error
            outage.began(error)
            time.sleep(0.1)
        except ResponseError as error:
            client.close()
            raise AnceError(f"redis at {address.shown} cannot be used: {error}") from error
        else:
            outage.ended()
            return client


def _client(address: RedisAddress) -> Redis:
    options: dict[str, Any] = {
        "decode_responses": True,
        "protocol": 2,
        "socket_timeout": COMMAND_SECONDS,
        "socket_connect_timeout": 5.0,
        "socket_keepalive": True,
        "health_check_interval": 15,
        "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 3),
        "retry_on_error": list(OUTAGE),
        **address.encryption,
    }
    try:
        if address.scheme in SENTINEL_SCHEMES:
            return _sentinel_client(address, options)
        return ReconnectingRedis.from_url(address.url, **options, **address.identity)
    except ValueError as error:
        raise AnceError(f"redis url {address.shown!r} is not valid: {error}") from error


def _sentinel_client(address: RedisAddress, options: dict[str, Any]) -> Redis:
    parts = urlsplit(address.url)
    hosts = parts.netloc.rpartition("@")[2]
    sentinels = []
    for host in hosts.split(","):
        name, _, port = host.rpartition(":")
        if not name or not port.isdigit():
            raise ValueError(f"{host!r} is not host:port of a sentinel")
        sentinels.append((name, int(port)))
    master, _, db = parts.path.strip("/").partition("/")
    if not master:
        raise ValueError("the path must name the master, as in redis+sentinel://host:26379/mymaster")
    encryption = {"ssl": address.tls, **address.encryption}
    # By default the sentinels would get the timeouts of the master's connections, but not their encryption.
    timeouts = {name: value for name, value in options.items() if name.startswith("socket_")}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        sentinels,
        sentinel_kwargs={**timeouts, **encryption},
        db=int(db or 0),
        **options,
        **address.identity,
        ssl=address.tls,
    )
    client: Redis = sentinel.master_for(master, redis_class=ReconnectingRedis)  # type: ignore[no-untyped-call]
    return client
