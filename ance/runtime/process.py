"""How the process of a service begins and ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

from ance.errors import AnceError, TemporaryError
from ance.runtime import tracing

USER_ERROR = 2
TEMPORARY = 75  # EX_TEMPFAIL of sysexits.h
INTERRUPTED = 128 + 2  # what a shell reports for SIGINT
TERMINATED = 128 + 15  # what a shell reports for SIGTERM: the work is not finished
PR_SET_PDEATHSIG = 1


def run_service(service: str, main: Callable[[], None]) -> None:
    """Run the body of a service and turn the ways it ends into exit codes.

    A problem that the user can mend is one line on stderr, `ance-<service>: error: ...`, without a traceback.
    Any other exception is a bug and keeps its traceback. SIGTERM is heeded and ANCE_THREADS holds before `main`
    begins, so what takes seconds to import or starts threads when it is imported belongs into it.

    Raises:
        SystemExit: with 2 after an AnceError, with 75 after a TemporaryError, with 130 after Ctrl-C.
    """
    leave_on_sigterm()
    threads = os.environ.get("ANCE_THREADS", "")
    if threads.isdecimal() and int(threads):  # what is wrong with another one, the settings say
        limit_threads(int(threads))
    try:
        main()
    except AnceError as error:
        print(f"ance-{service}: error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(TEMPORARY if isinstance(error, TemporaryError) else USER_ERROR) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    finally:
        tracing.stop()


def leave_on_sigterm() -> None:
    """End the process at once, with exit code 143, on a SIGTERM that no `Shutdown` has taken over yet.

    The kernel drops a SIGTERM for process 1 of a container that has no handler: without one, a pod that is deleted
    while it starts would stay until it is killed.
    """
    # Not sys.exit: an exception in the middle of an import may be swallowed or printed, and there is nothing to undo.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(TERMINATED))


def limit_threads(threads: int | None) -> None:
    """Use at most `threads` CPU threads for tensor work, here and in child processes (None: any).

    A container's CPU limit is invisible to OpenMP: left alone it starts a thread for each core of the node.
    """
    if threads is None:
        return
    # For child processes and for libraries that are not loaded yet: each reads its own once.
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[variable] = str(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)


def die_with_parent() -> None:
    """Before a child's program runs: let the system kill it when its parent ends, where it can (Linux).

    A parent that is killed must not leave processes that hold ports, leases and GPUs.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def return_freed_memory() -> None:
    """Give the system back what was freed, where the C library keeps it for later and can be asked: glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
