"""Work that cannot be interrupted, and that a process must be able to leave behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_SECONDS = 0.1


class LeftBehind(Exception):
    """The work was not done when the process gave up waiting for it."""


def unless(give_up: Callable[[], bool], work: Callable[[], T]) -> T:
    """The result of `work`, done in a thread of its own while this one asks whether to give up.

    Work that is left behind goes on until the process ends, which it does not hold up: what it writes must be
    invisible until it is whole.

    Raises:
        LeftBehind: `give_up()` came true first.
        BaseException: whatever the work raised.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="work", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(LOOK_SECONDS)
        if thread.is_alive() and give_up():
            raise LeftBehind
    if errors:
        raise errors[0]
    return results[0]
