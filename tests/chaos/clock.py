"""A wall clock that jumps by hours, for Redis and for the services; monotonic clocks go on as they do."""

from __future__ import annotations

import shutil
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "clock.c"
HOUR = 3600


class Clock:
    """The time of day of whoever looks at it through this: real time, shifted by what `jump` has said.

    Args:
        folder: for the shift, which processes share, and for what makes Redis see it.
    """

    def __init__(self, folder: Path) -> None:
        self._shift = folder / "shift"
        self._library = folder / "clock.so"
        self._write(0)

    def jump(self, hours: float) -> None:
        """Forward, or back if negative, from wherever the clock is."""
        self._write(self._read() + int(hours * HOUR))

    def install(self) -> None:
        """Make `time.time` of this process look at the clock."""
        real: Callable[[], float] = time.time
        time.time = lambda: real() + self._read()

    def preload(self) -> dict[str, str]:
        """Environment in which a program that is started sees the clock. Skips the test without a C compiler."""
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("a C compiler is needed to make the clock of Redis jump")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", self._library, SOURCE, "-ldl"], check=True)
        return {"LD_PRELOAD": str(self._library), "SHIFT_FILE": str(self._shift)}

    def _read(self) -> int:
        (seconds,) = struct.unpack("q", self._shift.read_bytes())
        return int(seconds)

    def _write(self, seconds: int) -> None:
        # In place: the others have this very file mapped.
        with self._shift.open("r+b" if self._shift.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))
