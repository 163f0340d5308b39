"""Start the trainer: `python -m services.trainer`."""

from ance.runtime.process import run_service


def main() -> None:
    """Train until the end of the run or SIGTERM."""
    # Takes seconds, in which SIGTERM is heeded already.
    from services.trainer import wiring

    wiring.main()


if __name__ == "__main__":
    run_service("trainer", main)
