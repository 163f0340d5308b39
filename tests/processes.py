"""Processes of the system, by their ids."""

from pathlib import Path


def alive(pid: int) -> bool:
    """Whether the process runs: one that is gone and one that waits to be collected do not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
