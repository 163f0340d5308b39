"""Start a search replica: `python -m services.search_api`."""

from ance.runtime.process import run_service


def main() -> None:
    """Answer until SIGTERM."""
    # Takes seconds, in which SIGTERM is heeded already.
    from services.search_api import wiring

    wiring.main()


if __name__ == "__main__":
    run_service("search_api", main)
