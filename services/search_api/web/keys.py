"""API keys: who may read, and who may also administer."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from ance.errors import AnceError

log = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
HASHED = "sha256:"


class Access(IntEnum):
    """What a key opens; a higher one includes the lower."""

    NONE = 0
    READ = 1
    ADMIN = 2


@dataclass(frozen=True, slots=True)
class Key:
    """A key, of which only the hash is kept."""

    access: Access
    digest: bytes


class KeyFile:
    """Keys from a file that may change: a line `read KEY` or `admin KEY` each, `#` begins a comment.

    Instead of a key its hash may stand there, as `sha256:` and 64 hexadecimal digits. While a changed file cannot be
    read, the keys before the change stay valid.

    Raises:
        AnceError: the file cannot be read; the message names the line, never the key.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys = read_keys(path)
        self._version = _version(path)
        self._next_check = time.monotonic() + CHECK_SECONDS

    def access(self, presented: str) -> Access:
        """What a key opens. Takes as long for a right key as for a wrong one."""
        self._reload()
        digest = hashlib.sha256(presented.encode("utf-8", "replace")).digest()
        # Every key is compared, whichever matched before.
        granted = [key.access for key in self._keys if hmac.compare_digest(key.digest, digest)]
        return max(granted, default=Access.NONE)

    def _reload(self) -> None:
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + CHECK_SECONDS
        try:
            version = _version(self._path)
            if version != self._version:
                self._keys = read_keys(self._path)
                self._version = version
                log.info("API keys reloaded", extra={"keys": len(self._keys)})
        except (AnceError, OSError) as error:
            log.error("API keys not reloaded, those before stay valid: %s", error)


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys of a file.

    Raises:
        AnceError: it cannot be read, has no key, or a line that is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AnceError(f"API keys {path}: cannot be read: {error}") from error
    keys = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if words:
            keys.append(_parse(words, f"{path}:{number}"))
    if not keys:
        raise AnceError(f"API keys {path}: there is no key; write a line `read KEY` or `admin KEY` for each")
    return tuple(keys)


def _parse(words: list[str], place: str) -> Key:
    if len(words) != 2 or words[0] not in ("read", "admin"):
        raise AnceError(f"API keys {place}: expected `read KEY` or `admin KEY`")
    access, key = Access[words[0].upper()], words[1]
    if not key.startswith(HASHED):
        return Key(access, hashlib.sha256(key.encode()).digest())
    try:
        digest = bytes.fromhex(key.removeprefix(HASHED))
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise AnceError(f"API keys {place}: expected 64 hexadecimal digits after {HASHED}")
    return Key(access, digest)


def _version(path: Path) -> tuple[int, int, int]:
    """Changes with the file: Kubernetes replaces a mounted Secret by moving a link."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size
