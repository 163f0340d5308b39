"""What the kernel says of a process (Linux)."""

from __future__ import annotations

import os
from pathlib import Path


def peak_mb(process: int) -> float:
    """Peak resident memory in MiB. Not ru_maxrss: there a child starts with that of its parent."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def anonymous_bytes(process: int) -> int:
    """Memory that no file is mapped into."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))


def cpu_seconds(process: int) -> float:
    """Processor time that it has used so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
