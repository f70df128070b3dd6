"""`python -m regionkit.cli` is `regionkit`."""

from regionkit.cli.command import main

if __name__ == "__main__":
    raise SystemExit(main())
