"""Keep trying while the store is unreachable, and say so."""

from __future__ import annotations

import errno
import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")

Wait = Callable[[float], object]
"""Waits so many seconds. A true result means: give up now. `Shutdown.wait` and `time.sleep` both fit."""

FIRST_DELAY = 0.1
LONGEST_DELAY = 15.0

_ANSWERS = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
_LASTING = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTSUP, errno.EXDEV),
    *(errno.EINVAL, errno.EPERM, errno.ENOSYS),  # an object store's: bad request, not allowed, not implemented
}


def is_transient(error: OSError) -> bool:
    """Whether trying again can help: the store could not be asked, rather than having said no."""
    return not isinstance(error, _ANSWERS) and error.errno not in _LASTING


def retrying(operation: Callable[[], T], what: str, *, seconds: float, wait: Wait = time.sleep) -> T:
    """The result of `operation`, tried again with exponential backoff while its error is transient.

    Args:
        operation: must be safe to run twice.
        what: names the operation in the log.
        seconds: how long to go on, from the first try. 0 tries once.
        wait: waits between two tries.

    Raises:
        OSError: an error that will not pass by waiting, or the last one when the time is up.
    """
    deadline = time.monotonic() + seconds
    delay = FIRST_DELAY
    while True:
        try:
            return operation()
        except OSError as error:
            left = deadline - time.monotonic()
            if not is_transient(error) or left <= 0:
                raise
            # Jitter, so that a fleet does not come back all at once.
            pause = min(delay * random.uniform(0.5, 1.0), left)
            logger.warning("store unreachable, retrying in %.1f s: %s: %s", pause, what, error)
            if wait(pause):
                raise
            delay = min(2 * delay, LONGEST_DELAY)
