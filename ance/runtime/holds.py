"""Which versions a running process uses, said in the store, so that retention leaves them alone.

In the store and not in Redis, which would forget who holds what when it is flushed. A holder announces first and
then looks for a tombstone; retention writes the tombstone first and looks for holders before it deletes
(`ance.runtime.retention`). So one of the two always sees the other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from ance.errors import AnceError
from ance.runtime.artifacts.manifests import ArtifactNotFound
from ance.runtime.contracts import Contract, Kind
from ance.runtime.layout import RunLayout
from ance.runtime.store import Store

logger = logging.getLogger(__name__)

HOLD_SECONDS = 900.0
"""A holder that has been silent this long is gone."""
RENEW_SECONDS = HOLD_SECONDS / 5


class HeldVersion(Contract):
    """One version of a kind."""

    kind: Kind
    step: int


class Hold(Contract):
    """What one process uses, as it says itself."""

    holder: str
    versions: tuple[HeldVersion, ...]
    renewed_at: float


Silent = Callable[[Hold], float]
"""For how many seconds the holder has not been heard of."""


def silent_by_the_clock(hold: Hold) -> float:
    """By the time of day: for who only shows it. Clocks that differ by minutes do no harm."""
    return time.time() - hold.renewed_at


class Silence:
    """By what has changed between two looks, on a clock of one's own: for who looks again and again.

    A time of day may jump, here or at a holder's, by hours: it would make the living dead, and the dead immortal.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard: dict[str, tuple[float, float]] = {}  # holder -> its last word, and when that was new here

    def of(self, hold: Hold) -> float:
        """Seconds since the record was new to this process; 0 at its first look."""
        word, since = self._heard.get(hold.holder, (None, 0.0))
        if word != hold.renewed_at:
            since = self._clock()
            self._heard[hold.holder] = hold.renewed_at, since
        return self._clock() - since


class VersionHold:
    """Announces what this process uses, again and again. Use as a context manager.

    A store that cannot be written, such as one that is mounted read-only, is said once: its versions are then
    safe only for as long as retention's grace.

    Args:
        store: of the run.
        layout: of the run.
        holder: name of this process, as of `ServiceSettings.holder`.
    """

    def __init__(self, store: Store, layout: RunLayout, holder: str) -> None:
        self._store = store
        self._layout = layout
        self._holder = holder
        self._lasting: frozenset[HeldVersion] = frozenset()  # what `hold` said last
        self._passing: Counter[HeldVersion] = Counter()  # what blocks of `holding` use now, of any thread
        self._changing = threading.Lock()
        self._refused = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="holds", daemon=True)

    def hold(self, versions: Collection[tuple[Kind, int]]) -> None:
        """Hold these versions until the next call says others. Their parents are held with them.

        Raises:
            ArtifactNotFound: one of them is about to be deleted; what was held before stays held.
        """
        with self._changing:
            self._hold(frozenset(_held(*version) for version in versions), self._passing)

    @contextmanager
    def holding(self, *versions: tuple[Kind, int]) -> Iterator[None]:
        """Hold these versions, too, for the length of the block: for what is loaded and then needs no file.

        Raises:
            ArtifactNotFound: one of them is about to be deleted.
        """
        passing = Counter(_held(*version) for version in versions)
        with self._changing:
            self._hold(self._lasting, self._passing + passing)
        try:
            yield
        finally:
            with self._changing:
                self._hold(self._lasting, self._passing - passing)

    def __enter__(self) -> VersionHold:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        with self._changing:
            if self._versions() and not self._refused:
                self._store.delete(self._layout.hold(self._holder))

    def _versions(self) -> frozenset[HeldVersion]:
        return self._lasting | self._passing.keys()

    def _hold(self, lasting: frozenset[HeldVersion], passing: Counter[HeldVersion]) -> None:
        before = self._lasting, self._passing
        known = self._versions()
        self._lasting, self._passing = lasting, passing
        self._announce()
        condemned = sorted(_key(held) for held in self._versions() - known if self._is_condemned(held))
        if condemned:
            self._lasting, self._passing = before
            self._announce()
            raise ArtifactNotFound(f"{self._layout.version(*condemned[0])}: retention is deleting it")

    def _renew(self) -> None:
        while not self._stopped.wait(RENEW_SECONDS):
            with self._changing:
                if self._versions():
                    self._announce()

    def _announce(self) -> None:
        versions = tuple(sorted(self._versions(), key=_key))
        record = Hold(holder=self._holder, versions=versions, renewed_at=time.time())
        try:
            if versions:
                self._store.write(self._layout.hold(self._holder), record.model_dump_json().encode())
            else:
                self._store.delete(self._layout.hold(self._holder))
        except (AnceError, OSError) as error:
            if not self._refused:
                logger.warning("versions in use cannot be announced to retention: %s", error)
            self._refused = True
        else:
            self._refused = False

    def _is_condemned(self, held: HeldVersion) -> bool:
        return self._store.exists(self._layout.tombstone(*_key(held)))


def live_holds(
    store: Store, layout: RunLayout, *, forget: bool = False, silent: Silent = silent_by_the_clock
) -> list[Hold]:
    """What running processes hold.

    Args:
        store: of the run.
        layout: of the run.
        forget: delete the records of processes that have been silent for too long.
        silent: for how long one has been.

    Raises:
        AnceError: a record cannot be read; nothing may be deleted before somebody has looked.
    """
    live = []
    for key in store.list(layout.holds):
        try:
            hold = Hold.model_validate_json(store.read(key))
        except FileNotFoundError:  # its holder has just left
            continue
        except ValidationError as error:
            raise AnceError(f"store {store.url}: {key} is no record of held versions, delete it") from error
        if silent(hold) < HOLD_SECONDS:
            live.append(hold)
        elif forget:
            logger.info("%s has not been heard of, what it held may go", hold.holder)
            store.delete(key)
    return live


def _held(kind: Kind, step: int) -> HeldVersion:
    return HeldVersion(kind=kind, step=step)


def _key(held: HeldVersion) -> tuple[Kind, int]:
    return held.kind, held.step
