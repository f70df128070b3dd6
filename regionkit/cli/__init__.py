"""The `regionkit` command. Needs nothing but the core dependencies; `regionkit --help` lists what it can do."""

from regionkit.cli.command import main

__all__ = ["main"]
