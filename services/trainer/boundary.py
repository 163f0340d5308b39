"""The boundary between two steps, which all ranks cross with the same negatives, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from services.trainer.fresh_negatives import FreshNegatives, NegativesVersion
from services.trainer.ranks import Ranks

OFFER = "negatives"
"""On the board: the version that rank 0 offers."""
NOTHING, UNREADABLE = -1, -2


class Wish(IntEnum):
    """What a rank wants of the others; the strongest wish is done."""

    GO_ON = 0
    FINISH = 1
    """End the training in order, before its last step."""
    STOP = 2
    """Leave at once, and go on from the last checkpoint another time."""


class Boundary:
    """Decides for all ranks at once whether to stop, and which version of the negatives to train on.

    Rank 0 offers a version it has. The others fetch it beside training, and at the first boundary where all have
    it, all take it. One exchange of two numbers a step decides both, and each rank draws the same conclusion from the
    same numbers. (In the original code each rank looks for new data by itself: two that see it a moment apart train
    on different negatives, or wait for each other for ever.)

    Attributes:
        version: in use on every rank; None before the first.
        finishing: whether training ends early, once the step that comes next is done.
    """

    def __init__(
        self,
        ranks: Ranks,
        fresh: FreshNegatives,
        stop: Callable[[], bool],
        finish: Callable[[], bool] = lambda: False,
    ) -> None:
        """`stop` and `finish` say whether this rank wants all to stop, or to finish."""
        self.version: NegativesVersion | None = None
        self.finishing = False
        self._ranks = ranks
        self._fresh = fresh
        self._stop = stop
        self._finish = finish
        self._offered: NegativesVersion | None = None
        self._unreadable = False

    def meet(self) -> bool:
        """Meet the other ranks. False where one of them wants to stop: all stop before the same step.

        Raises:
            PeerLost: one is gone.
        """
        candidate = self._offer() if self._ranks.leads else self._fresh.newest
        step = NOTHING if candidate is None else candidate.step
        if self._fresh.failing and not self._ranks.leads:
            step = UNREADABLE
        wishes, steps = zip(*self._ranks.exchange([self._wish(), step]), strict=True)
        if set(steps) == {steps[0]} and candidate is not None:
            self.version = candidate
        self._unreadable = UNREADABLE in steps
        self.finishing = max(wishes) == Wish.FINISH
        return Wish.STOP not in wishes

    def _wish(self) -> Wish:
        if self._stop():
            return Wish.STOP
        return Wish.FINISH if self._finish() else Wish.GO_ON

    def _offer(self) -> NegativesVersion | None:
        """What rank 0 offers: always the same until all have taken it, or however slow one is it would never catch up.

        Unless one cannot read it: it may be deleted by now.
        """
        newest = self._fresh.newest
        if newest is not self._offered and (self._offered is self.version or self._unreadable):
            self._offered = newest
            if newest is not None:
                self._ranks.post(OFFER, newest.ref.model_dump_json())
        return self._offered
