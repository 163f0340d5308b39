"""Which holders live, for a command that ends: by the time of day, and where that says no, by a second look.

A clock that is hours off, here or at a holder's, makes the living look dead. Whoever lives renews its record within
`RENEW_SECONDS`, whatever it writes there, so a record that stays the same for longer is a dead one's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ance.runtime.holds import HOLD_SECONDS, RENEW_SECONDS, Hold, Silent, live_holds, silent_by_the_clock
from ance.runtime.layout import RunLayout
from ance.runtime.store import Store

WATCH_SECONDS = 1.25 * RENEW_SECONDS


def look_twice(
    store: Store, layout: RunLayout, wait: Callable[[float], object], say: Callable[[str], object]
) -> Silent:
    """A judge for `retain`. Waits only where somebody's last word is minutes away from the time of day here.

    Args:
        store: of the run.
        layout: of the run.
        wait: sleeps for so many seconds.
        say: tells the user why.
    """
    doubtful = {
        hold.holder: hold.renewed_at
        for hold in live_holds(store, layout, silent=lambda _: 0.0)
        # The future is as doubtful: its holder may be gone, and would hold for as long as its clock was ahead.
        if abs(silent_by_the_clock(hold)) >= HOLD_SECONDS
    }
    if doubtful:
        say(f"by the clocks {', '.join(sorted(doubtful))} left long ago: looking again in {WATCH_SECONDS:.0f} s")
        wait(WATCH_SECONDS)
    return _unchanged(doubtful)


def _unchanged(words: Mapping[str, float]) -> Silent:
    def silent(hold: Hold) -> float:
        return HOLD_SECONDS if words.get(hold.holder) == hold.renewed_at else 0.0

    return silent
