"""Start an indexer: `python -m services.indexer`."""

from ance.runtime.process import run_service


def main() -> None:
    """Lead, or stand by, until SIGTERM or the end of the run."""
    # Takes seconds, in which SIGTERM is heeded already.
    from services.indexer import wiring

    wiring.main()


if __name__ == "__main__":
    run_service("indexer", main)
