import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ance.errors import AnceError, TemporaryError
from ance.runtime.process import limit_threads, run_service


@pytest.fixture(autouse=True)
def restored_handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_service_that_returns_ends_normally() -> None:
    calls = []
    run_service("trainer", lambda: calls.append("ran"))
    assert calls == ["ran"]


def test_a_problem_of_the_user_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise AnceError("run.yaml: unknown key 'lr':\n  remove it")

    with pytest.raises(SystemExit) as exit_:
        run_service("trainer", main)

    assert exit_.value.code == 2
    assert capsys.readouterr().err == "ance-trainer: error: run.yaml: unknown key 'lr': remove it\n"


def test_what_passes_by_itself_is_one_line_and_an_exit_code_that_asks_to_try_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def main() -> None:
        raise TemporaryError("redis does not answer")

    with pytest.raises(SystemExit) as exit_:
        run_service("trainer", main)

    assert exit_.value.code == 75
    assert capsys.readouterr().err == "ance-trainer: error: redis does not answer\n"


def test_an_interrupt_is_silent_and_exit_code_130(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as exit_:
        run_service("indexer", main)

    assert exit_.value.code == 130
    assert capsys.readouterr().err == ""


def test_a_bug_keeps_its_traceback() -> None:
    def main() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_service("indexer", main)


def test_limit_threads_holds_here_and_in_child_processes() -> None:
    program = (
        "import os, subprocess, sys, torch\n"
        "from ance.runtime.process import limit_threads\n"
        "limit_threads(3)\n"
        "print(torch.get_num_threads(), os.environ['OMP_NUM_THREADS'])\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    output = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert output.stdout.split() == [b"3", b"3"]


def test_a_service_limits_threads_before_its_libraries_are_loaded_and_loads_none_for_it() -> None:
    program = (
        "import sys\n"
        "from ance.runtime.process import run_service\n"
        "def main():\n"
        "    assert not {'torch', 'faiss', 'numpy'} & sys.modules.keys()\n"
        "    import faiss, torch\n"
        "    print(faiss.omp_get_max_threads(), torch.get_num_threads())\n"
        "run_service('indexer', main)\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    for threads, expected in (("1", [b"1", b"1"]), ("0", None), ("many", None)):
        told = {**environment, "ANCE_THREADS": threads}
        output = subprocess.run([sys.executable, "-c", program], env=told, capture_output=True, check=True)
        assert expected is None or output.stdout.split() == expected


def test_freed_memory_goes_back_to_the_system() -> None:
    program = (
        "import os\n"
        "from ance.runtime.process import return_freed_memory\n"
        "def resident(): return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')\n"
        "pieces = [bytes(5000) for _ in range(20_000)]\n"
        "last = bytes(5000)\n"
        "del pieces\n"
        "before = resident()\n"
        "return_freed_memory()\n"
        "print(before - resident())\n"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert int(output.stdout) > 80_000_000


def test_no_limit_changes_nothing() -> None:
    before = dict(os.environ)
    limit_threads(None)
    assert dict(os.environ) == before
