"""The processes that train a run together: how they find each other, and what they tell each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from functools import partial

import torch
import torch.distributed as dist
from pydantic import Field, NonNegativeInt, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from ance.errors import TemporaryError
from ance.runtime.left_behind import LeftBehind, unless
from ance.runtime.logs import get_logger
from ance.training.data_parallel import DataParallel, PeerLost, among_peers

log = get_logger(__name__)

CONNECT_SECONDS, RETRY_SECONDS = 10.0, 1.0
"""One try to reach rank 0, which may be waiting for the run or for its lease, and the pause after it."""
LOOK_SECONDS = 0.1
"""How often a rank looks for what it waits for on the board."""
COMPLETE = "complete"
"""On the board, once every rank has come."""


class Place(BaseSettings):
    """Which of the processes this is: the variables of torchrun and of `services.trainer.launch`, without a prefix."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, use_attribute_docstrings=True)

    rank: NonNegativeInt = 0
    """Number of this process."""
    world_size: PositiveInt = 1
    """Number of processes."""
    local_rank: NonNegativeInt = 0
    """Number of this process in its pod: the GPU it uses."""
    master_addr: str = "127.0.0.1"
    """Where the process with rank 0 is."""
    master_port: int = Field(default=29500, ge=1, le=65535)
    """Port where they find each other."""
    torchelastic_use_agent_store: bool = False
    """Whether torchrun's agent listens there, in place of rank 0."""
    torchelastic_restart_count: NonNegativeInt = 0
    """How often torchrun has started the processes again."""

    @property
    def leads(self) -> bool:
        """Rank 0 alone holds the run, publishes, and is watched. The others compute."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """The torch device of this process where the pod's is `name`, e.g. `cuda`."""
        return f"cuda:{self.local_rank}" if name == "cuda" and self.world_size > 1 else name


class Ranks:
    """This process among those it trains with.

    `exchange` is for numbers and all take part in it, at the same moment. The board is for what rank 0 has to say at
    length, and everybody reads it when they like. Use as a context manager.
    """

    def __init__(
        self,
        place: Place,
        board: Store | None = None,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`board` is None for one process; `waiting` is around each exchange, which may last as long as a save."""
        self._place = place
        self._board = board
        self._waiting = waiting

    @property
    def leads(self) -> bool:
        """Whether this is rank 0."""
        return self._place.leads

    @property
    def parallel(self) -> DataParallel:
        """The same, for the training step."""
        return DataParallel(self._place.rank, self._place.world_size)

    def exchange(self, numbers: Sequence[int]) -> list[list[int]]:
        """What every rank has given, by rank; all give equally many.

        Raises:
            PeerLost: one has ended, or has been silent for too long.
        """
        if self._board is None:
            return [list(numbers)]
        own = torch.tensor(numbers, dtype=torch.int64)  # on the CPU: no kernel is waited for
        table = [torch.empty_like(own) for _ in range(self._place.world_size)]
        with self._waiting(), among_peers():
            dist.all_gather(table, own)
        return [row.tolist() for row in table]

    def post(self, subject: str, text: str) -> None:
        """Put a text on the board, in place of the one before on the same subject.

        Raises:
            PeerLost: the board is gone.
        """
        if self._board is not None:
            with among_peers():
                self._board.set(subject, text)

    def read(self, subject: str) -> str | None:
        """What rank 0 has posted, if it has.

        Raises:
            PeerLost: the board is gone, and rank 0 with it.
        """
        if self._board is None:
            return None
        with among_peers():
            text: bytes | None = self._board.get(subject) if self._board.check([subject]) else None
        return None if text is None else text.decode()

    def told(self, subject: str, stop: Callable[[], bool]) -> str | None:
        """Wait until rank 0 has posted; None when stopped.

        Raises:
            PeerLost: rank 0 is gone.
        """
        while (text := self.read(subject)) is None:
            if stop():
                return None
            time.sleep(LOOK_SECONDS)
        return text

    def __enter__(self) -> Ranks:
        return self

    def __exit__(self, *_: object) -> None:
        if self._board is not None:
            dist.destroy_process_group()


def join(
    place: Place,
    device: str,
    peer_seconds: float,
    stop: Callable[[], bool],
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Ranks:
    """Wait for the other processes of the run.

    Args:
        place: of this process. Alone, it waits for nobody.
        device: `cpu`, or the GPU of this process.
        peer_seconds: one that has been silent for this long is lost.
        stop: asked while waiting.
        waiting: see `Ranks`.

    Raises:
        LeftBehind: stopped.
        PeerLost: one of them is gone, or they have begun with a process that this one replaces.
        TemporaryError: rank 0 cannot open its port.
    """
    if place.world_size == 1:
        return Ranks(place)
    log.info("waiting for the other processes", extra={"rank": place.rank, "processes": place.world_size})
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    board = unless(stop, partial(_board, place))
    with among_peers():
        if board.check([COMPLETE]):
            raise PeerLost("the others train with a process that this one replaces: they are about to notice it")
        board.set(f"rank {place.rank}", "here")
        ranks = [f"rank {rank}" for rank in range(place.world_size)]
        # However long it takes: pods wait for nodes, and rank 0 comes when it holds the lease of the run.
        while not board.check(ranks if place.leads else [COMPLETE]):
            if stop():
                raise LeftBehind
            time.sleep(LOOK_SECONDS)
        if place.leads:
            board.set(COMPLETE, "yes")
        unless(stop, partial(_form, place, device, timedelta(seconds=peer_seconds), board))
    return Ranks(place, PrefixStore("board", board), waiting)


def _board(place: Place) -> Store:
    """The key-value store that rank 0 opens, or torchrun's agent."""
    opens = place.leads and not place.torchelastic_use_agent_store
    while True:
        try:
            store = TCPStore(
                place.master_addr,
                place.master_port,
                is_master=opens,
                timeout=timedelta(seconds=CONNECT_SECONDS),
                wait_for_workers=False,
            )
            return PrefixStore(f"attempt {place.torchelastic_restart_count}", store)
        except dist.DistError as error:
            if opens:
                raise TemporaryError(f"rank 0 cannot open MASTER_PORT {place.master_port}: {error}") from error
            time.sleep(RETRY_SECONDS)


def _form(place: Place, device: str, silence: timedelta, board: Store) -> None:
    board.set_timeout(silence)
    dist.init_process_group(
        # Decisions are made on the CPU: there a lost peer is noticed at once, and no GPU is waited for.
        backend="cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo",
        store=PrefixStore("group", board),
        rank=place.rank,
        world_size=place.world_size,
        timeout=silence,
    )
