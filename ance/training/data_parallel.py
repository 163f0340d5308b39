"""Training by several processes that each compute a part of every batch, in step with one another.

The batch, and so the loss, is that of one process. With W processes and L_r the mean loss over the queries of
process r, L = 1/W sum over r of L_r, so the gradient of L is the mean of theirs. It is exchanged once an optimiser
step, after the last micro batch, in a few large messages: a step encodes batches of several shapes before it goes
backward, which torch's DistributedDataParallel would have to be told about, and the model stays an unwrapped one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ance.errors import TemporaryError

MESSAGE_ELEMENTS = 16 * 2**20
"""Gradients a message: large enough that the wire is what takes the time, small beside the model."""


class PeerLost(TemporaryError):
    """Another process of the training has ended, or has been silent for too long. No weight was changed by this."""


@contextmanager
def among_peers() -> Iterator[None]:
    """Turn a failed exchange into `PeerLost`: torch raises a plain RuntimeError for it.

    Raises:
        PeerLost: the exchange failed.
    """
    try:
        yield
    except RuntimeError as error:
        raise PeerLost(f"another process of the training is gone: {' '.join(str(error).split())}") from error


@dataclass(frozen=True, slots=True)
class DataParallel:
    """This process's place among those that train together, over torch's default process group.

    Attributes:
        rank: number of this process, from 0.
        size: how many there are; with 1 nothing is exchanged and no process group is needed.
    """

    rank: int = 0
    size: int = 1

    def average_gradients(self, parameters: Sequence[nn.Parameter], sums: Tensor) -> Tensor:
        """Replace each gradient by its mean over the processes; all are left with the same bits.

        Args:
            parameters: the same on every process; those without a gradient have none on any.
            sums: float32 [n] of this process, sent along.

        Returns:
            float32 [n], the sum of `sums` over the processes. Counts are exact up to 2^24.

        Raises:
            PeerLost: the exchange failed; the gradients are of no use.
        """
        if self.size == 1:
            return sums
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        with among_peers():
            for message in _messages([*gradients, sums]):
                flat = torch.cat([tensor.flatten() for tensor in message])
                dist.all_reduce(flat)
                parts = torch.split(flat, [tensor.numel() for tensor in message])
                for tensor, part in zip(message, parts, strict=True):
                    tensor.copy_(part.view_as(tensor))
        if gradients:
            torch._foreach_div_(gradients, self.size)
        return sums

    def gather(self, vectors: Tensor) -> Tensor:
        """The vectors of all processes, with gradients: float [n, D] -> float [size, n, D], by rank.

        Each process's loss may depend on the vectors of all; backward sums what they all have to say about a
        vector and hands it to the process that made it (as DPR and RocketQA's cross-batch negatives do).

        Raises:
            PeerLost: the exchange failed, here or on the way back.
        """
        if self.size == 1:
            return vectors.unsqueeze(0)
        apply = cast(Callable[[Tensor, int, int], Tensor], _Gather.apply)
        return apply(vectors, self.rank, self.size)


ALONE = DataParallel()
"""One process trains."""


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor, rank: int, size: int) -> Tensor:
        ctx.rank = rank
        gathered = [torch.empty_like(vectors) for _ in range(size)]
        with among_peers():
            dist.all_gather(gathered, vectors.contiguous())
        return torch.stack(gathered)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        with among_peers():
            dist.all_reduce(total)
        return total[ctx.rank], None, None


def _messages(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The tensors in their order, as many at a time as make a message."""
    message: list[Tensor] = []
    elements = 0
    for tensor in tensors:
        message.append(tensor)
        elements += tensor.numel()
        if elements >= MESSAGE_ELEMENTS:
            yield message
            message, elements = [], 0
    if message:
        yield message
