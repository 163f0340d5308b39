"""Connections to Redis (6.2 and newer, or Valkey) that outlive restarts and failovers."""

from __future__ import annotations

import logging
import time
from typing import Any
from urllib.parse import unquote, urlsplit

from redis import Redis, exceptions
from redis.backoff import ExponentialBackoff
from redis.exceptions import ReadOnlyError, RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel

from ance.errors import AnceError

logger = logging.getLogger(__name__)

OUTAGE = (exceptions.ConnectionError, exceptions.TimeoutError, ReadOnlyError)
"""Errors that pass by themselves: Redis restarts, is loading, fails over, or has no master just now."""

REFUSED = (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.NoPermissionError)

COMMAND_SECONDS = 10.0
"""Time a command may take, blocking reads included: block for less than this."""

SENTINEL_SCHEME = "redis+sentinel"


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


class OutageLog:
    """Says once that Redis is away, and once that it is back, however often it is asked in between."""

    def __init__(self, what_waits: str) -> None:
        self._what_waits = what_waits
        self._since: float | None = None

    def began(self, error: RedisError) -> None:
        """Note a failed command."""
        if self._since is None:
            self._since = time.monotonic()
            logger.warning("redis is unreachable, %s waits: %s", self._what_waits, error)

    def ended(self) -> None:
        """Note a command that succeeded."""
        if self._since is not None:
            seconds = time.monotonic() - self._since
            self._since = None
            logger.info("redis is back after %.1f s, %s goes on", seconds, self._what_waits)


def connect(url: str, *, grace_seconds: float = 30.0) -> Redis:
    """Connect to Redis, waiting up to `grace_seconds` for it to answer. The client is thread-safe.

    Args:
        url: `redis://[user:password@]host[:port][/db]`, `rediss://` for TLS (`?ssl_ca_certs=FILE` names the
            authority), `unix://`, or `redis+sentinel://[user:password@]host:port[,host:port]/master[/db]`.

    Raises:
        AnceError: the URL is not valid, the password is refused, or nothing answers within the grace.
    """
    client = _client(url)
    outage = OutageLog("start-up")
    deadline = time.monotonic() + grace_seconds
    while True:
        try:
            client.ping()
        except REFUSED as error:
            client.close()
            raise AnceError(f"redis at {_shown(url)} refuses the user or password: {error}") from error
        except OUTAGE as error:
            if time.monotonic() >= deadline:
                client.close()
                raise AnceError(
                    f"redis at {_shown(url)} does not answer after {grace_seconds:g} s ({error}): "
                    "start it, or correct ANCE_REDIS_URL"
                ) from error
            outage.began(error)
            time.sleep(0.1)
        except ResponseError as error:
            client.close()
            raise AnceError(f"redis at {_shown(url)} cannot be used: {error}") from error
        else:
            outage.ended()
            return client


def _client(url: str) -> Redis:
    options: dict[str, Any] = {
        "decode_responses": True,
        "protocol": 2,
        "socket_timeout": COMMAND_SECONDS,
        "socket_connect_timeout": 5.0,
        "socket_keepalive": True,
        "health_check_interval": 15,
        "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 3),
        "retry_on_error": list(OUTAGE),
    }
    try:
        if urlsplit(url).scheme == SENTINEL_SCHEME:
            return _sentinel_client(url, options)
        return ReconnectingRedis.from_url(url, **options)
    except ValueError as error:
        raise AnceError(f"redis url {_shown(url)!r} is not valid: {error}") from error


def _sentinel_client(url: str, options: dict[str, Any]) -> Redis:
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    addresses = []
    for host in hosts.split(","):
        name, _, port = host.rpartition(":")
        if not name or not port.isdigit():
            raise ValueError(f"{host!r} is not host:port of a sentinel")
        addresses.append((name, int(port)))
    master, _, db = parts.path.strip("/").partition("/")
    if not master:
        raise ValueError("the path must name the master, as in redis+sentinel://host:26379/mymaster")
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        addresses,
        username=unquote(user) or None,
        password=unquote(password) or None,
        db=int(db or 0),
        **options,
    )
    client: Redis = sentinel.master_for(master, redis_class=ReconnectingRedis)  # type: ignore[no-untyped-call]
    return client


def _shown(url: str) -> str:
    """The URL without its credentials and options, fit for a log."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2].partition('?')[0]}"
