"""Whether to end training early: the dev measures of the published versions, looked at beside training."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ance.errors import AnceError
from ance.runtime.contracts import RunConfig
from ance.runtime.layout import RunLayout
from ance.runtime.logs import get_logger
from ance.runtime.run_history import dev_history
from ance.runtime.store import Store
from ance.training.early_stopping import EarlyStoppingConfig, Standing, standing

log = get_logger(__name__)


@contextmanager
def out_of_patience(
    store: Store, layout: RunLayout, config: RunConfig, poll_seconds: float
) -> Iterator[Callable[[], bool]]:
    """For the length of the block: whether the run is to end early. Never, where early stopping is off."""
    training = config.training
    if training.early_stopping is None:
        yield lambda: False
        return
    first, measure = training.warmup.steps, config.evaluation.best_by
    with EarlyStop(store, layout, training.early_stopping, measure, first, poll_seconds) as early:
        yield lambda: early.reached is not None


class EarlyStop:
    """Looks at each newly published version in a thread of its own. Use as a context manager."""

    def __init__(
        self,
        store: Store,
        layout: RunLayout,
        config: EarlyStoppingConfig,
        measure: str,
        first: int,
        poll_seconds: float,
    ) -> None:
        """`measure` is one of those that a refresh records of the dev split. Versions before `first` do not count."""
        self._store = store
        self._layout = layout
        self._config = config
        self._measure = measure
        self._first = first
        self._poll_seconds = poll_seconds
        self._standing: Standing | None = None
        self._seen = -1  # newest version looked at
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="early-stop", daemon=True)

    @property
    def reached(self) -> Standing | None:
        """How the versions stand, once patience has run out; None until then. Never blocks."""
        found = self._standing
        return found if found is not None and found.versions_since >= self._config.patience else None

    def __enter__(self) -> EarlyStop:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._stopping.is_set() and self.reached is None:
            try:
                self._look()
            except (AnceError, OSError) as error:
                log.warning("dev measures not read, trying again: %s", error)
            self._stopping.wait(self._poll_seconds)

    def _look(self) -> None:
        index = self._store.read_pointer(self._layout.pointer("index"))
        if index is None or index.step <= self._seen:
            return
        measured = dev_history(self._store, self._layout, self._measure)
        counted = ((step, value) for step, value in measured if step >= self._first)
        self._standing = standing(counted, self._config.min_delta)
        self._seen = index.step
        if self._standing is not None:
            log.info("dev measure", extra={"measure": self._measure, **self._standing._asdict()})
