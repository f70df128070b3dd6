"""`regionkit status --watch`: the status, drawn again and again until Ctrl-C; with --json a line for each look."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from regionkit.cli.commands import FINE, bad, kit_of, seen
from regionkit.errors import ConfigurationError
from regionkit.routing.status import EndpointStatus, Status

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["drawn", "watch"]

SHORTEST = 0.1
"""Seconds between two looks at least: the monitor asks no more often."""


def watch(options: argparse.Namespace) -> int:
    """Look every `--every` seconds. The exit code is that of the last look: 1 while an endpoint is down."""
    if not SHORTEST <= options.every <= 3600.0:
        raise ConfigurationError(f"--every {options.every:g} is not usable.", fix="give seconds from 0.1 to 3600.")
    show = _lines if options.json else _screen()
    found = None
    with kit_of(options) as kit, contextlib.suppress(KeyboardInterrupt), show as one:
        while True:
            found = seen(kit) if found is None else kit.status()
            one(found)
            time.sleep(options.every)
    return 0 if found is None else bad(found)


def _line(found: Status) -> None:
    print(json.dumps({"at": round(time.time(), 3), **found.to_dict()}), flush=True)


_lines = contextlib.nullcontext(_line)


@contextlib.contextmanager
def _drawing(console: Any, live: Any) -> Iterator[Callable[[Status], None]]:
    def draw(found: Status) -> None:
        picture = drawn(found, datetime.now().astimezone())
        if console.is_terminal:
            live.update(picture, refresh=True)
        else:  # a pipe has every look
            console.print(picture)

    with live if console.is_terminal else contextlib.nullcontext():
        yield draw


def _screen() -> AbstractContextManager[Callable[[Status], None]]:
    """What draws with rich; log lines stand above the picture.

    Raises:
        ConfigurationError: rich is not installed.
    """
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError as error:
        raise ConfigurationError(
            "status --watch draws with rich, which is not installed.",
            why=f"{error}.",
            fix='pip install "regionkit[cli]"; or status --watch --json, which needs nothing.',
        ) from error
    console = Console(file=sys.stdout)
    return _drawing(console, Live(console=console, auto_refresh=False))


def drawn(found: Status, at: datetime) -> RenderableType:
    """A table, and what to do about endpoints that are not well. Needs rich."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"from {found.local}, {at:%H:%M:%S}", title_justify="left", box=None, pad_edge=False)
    for name in ("store", "endpoint", "role", "state"):
        table.add_column(name, overflow="fold")
    for name in ("lag", "rtt", "epoch", "in flight"):
        table.add_column(name, justify="right", no_wrap=True)
    for e in found.endpoints:
        here = " (here)" if e.region == found.local else ""
        table.add_row(
            e.store,
            Text(f"{e.endpoint}{here}"),
            e.role,
            Text(e.state, style=_style(e)),
            _seconds(e.lag),
            _seconds(e.rtt),
            "" if e.epoch is None else str(e.epoch),
            str(e.in_flight),
        )
    advice = dict.fromkeys(f"{e.store} {e.endpoint}: {e.advice}" for e in found.endpoints if e.advice)
    return Group(table, *(Text(line, style="yellow") for line in advice))


def _style(e: EndpointStatus) -> str:
    return "green" if e.state == "up" else "dim" if e.state in FINE or e.state.startswith("not seen") else "bold red"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value * 1000:.0f} ms" if value < 10.0 else f"{value:.0f} s"
