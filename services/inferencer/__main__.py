"""Start an inferencer: `python -m services.inferencer`."""

from ance.runtime.process import run_service


def main() -> None:
    """Work until SIGTERM."""
    # Takes seconds, in which SIGTERM is heeded already.
    from services.inferencer import wiring

    wiring.main()


if __name__ == "__main__":
    run_service("inferencer", main)
