"""`python -m ance.cli` is the `ance` command."""

from ance.cli.main import main

if __name__ == "__main__":
    main()
