"""Processes that train together, forked from a server that has imported what takes seconds to import."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "torch",
        "torch.distributed",
        "transformers.models.bert.modeling_bert",
        "ance.training.step",
        "services.trainer.wiring",
    ]
)


def environment(rank: int, size: int, port: int) -> dict[str, str]:
    """What torchrun tells a process."""
    values = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {name: str(value) for name, value in values.items()}


def start(work: Callable[..., Any], arguments: Sequence[Any], size: int = 2, **environ: str) -> list[BaseProcess]:
    """Start `size` processes that call `work(*arguments)`, told apart by the environment of torchrun."""
    port = free_port()
    processes = []
    for rank in range(size):
        values = {**environment(rank, size, port), **environ}
        process = CONTEXT.Process(target=_with_environment, args=(values, work, arguments), daemon=True)
        process.start()
        processes.append(process)
    return processes


def together(work: Callable[..., Any], *arguments: Any, size: int = 2, seconds: float = 60) -> list[Any]:
    """What `work(*arguments)` returns on each of `size` processes, by rank."""
    pipes = [CONTEXT.Pipe(duplex=False) for _ in range(size)]
    processes = start(_answer, ([writer for _, writer in pipes], work, arguments), size)
    answers: dict[int, Any] = {}
    readers = {reader: rank for rank, (reader, _) in enumerate(pipes)}
    while readers:
        ready = wait(list(readers), seconds)
        assert ready, "no answer in time"
        for reader in ready:
            assert isinstance(reader, Connection)
            kind, answer = reader.recv()
            assert kind == "result", answer
            answers[readers.pop(reader)] = answer
    ended(processes)
    return [answers[rank] for rank in range(size)]


def ended(processes: Sequence[BaseProcess], seconds: float = 60) -> list[int | None]:
    """Wait for the processes: their exit codes, a signal as its negative number. What is left over is killed."""
    deadline = time.monotonic() + seconds
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
        process.join()
    return codes


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _with_environment(values: dict[str, str], work: Callable[..., Any], arguments: Sequence[Any]) -> None:
    import torch

    os.environ.update(values)
    torch.set_num_threads(1)
    work(*arguments)


def _answer(writers: Sequence[Connection], work: Callable[..., Any], arguments: Sequence[Any]) -> None:
    writer = writers[int(os.environ["RANK"])]
    try:
        writer.send(("result", work(*arguments)))
    except BaseException:
        writer.send(("error", traceback.format_exc()))
        raise
