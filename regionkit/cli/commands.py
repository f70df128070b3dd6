"""`status`, `explain` and `adopt`: a kit from the configuration, its endpoints asked, the answer printed."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from regionkit.errors import ConfigurationError, UsageError
from regionkit.kit import RegionKit
from regionkit.routing.status import Status

__all__ = ["adopt", "bad", "explain", "kit_of", "seen", "status"]

NOT_SEEN = "not seen yet"
FINE = ("up", "refused by residency")
LOOK_AGAIN = 0.02
"""Seconds between two looks at what the monitor has found."""
LONGEST_LOOK = 4.0
"""Seconds; a dead endpoint is known as such after two failed probes of the usual profile."""


def status(options: argparse.Namespace) -> int:
    """Every endpoint. 1 when one is neither up nor kept out by residency."""
    if options.watch:
        watch: Callable[[argparse.Namespace], int] = import_module("regionkit.cli.watching").watch
        return watch(options)
    with kit_of(options) as kit:
        found = seen(kit)
    _print(options, found, found.to_dict())
    return bad(found)


def bad(found: Status) -> int:
    """1 when an endpoint is neither up nor kept out by residency."""
    return int(any(e.state not in FINE for e in found.endpoints))


def explain(options: argparse.Namespace) -> int:
    """The decision of a call made now. 1 when it would be refused."""
    with kit_of(options) as kit:
        seen(kit)
        with kit.session() as s:  # which looks a key up where its home is a row
            found = s.explain(options.store, options.kind, key=options.key, home=options.home)
    _print(options, found, found.to_dict())
    return int(found.decision.endpoint is None)


def adopt(options: argparse.Namespace) -> int:
    """Write the history row that makes a primary count. 1 when the name was not typed."""
    with kit_of(options) as kit, kit.session() as s:
        part = {"key": options.key, "home": options.home}
        try:
            s.explain(options.store, "write", **part)  # refuses a wrong key before any server is asked
        except UsageError:
            if options.key is not None or options.home is not None:
                raise  # else it is partitioned, and the endpoint's id says which part is meant
        if not options.yes and not _confirmed(options):
            print("nothing was changed.", file=sys.stderr)
            return 1
        kit.adopt(options.store, options.region, **part)
        print(seen(kit))
    return 0


def _confirmed(options: argparse.Namespace) -> bool:
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "adopt needs the endpoint's name typed on a terminal, and there is none.",
            fix="pass --yes if you are sure.",
        )
    part = "" if options.key is None else f", for the home partition of {options.key!r} has its home"
    print(
        f"From now on {options.region} is the primary of {options.store!r}{part}. What only another primary\n"
        "has is lost to readers, and that one is fenced.",
        file=sys.stderr,
    )
    print("Type the endpoint's name to continue: ", end="", file=sys.stderr, flush=True)
    typed: str = sys.stdin.readline().strip()
    return typed == str(options.region)


def kit_of(options: argparse.Namespace) -> RegionKit:
    """A kit from the configuration."""
    if not Path(options.config).is_file():
        raise ConfigurationError(f"there is no file {options.config}.", fix="name the topology's file with --config.")
    return RegionKit.from_toml(options.config, local=options.local, folder=options.folder)


def seen(kit: RegionKit) -> Status:
    """The status once every endpoint has answered or failed."""
    kit.session()  # the monitor starts with the first session
    until = time.monotonic() + LONGEST_LOOK
    while True:
        found = kit.status()
        if not any(e.state.startswith(NOT_SEEN) for e in found.endpoints) or time.monotonic() > until:
            return found
        time.sleep(LOOK_AGAIN)


def _print(options: argparse.Namespace, text: object, data: dict[str, Any]) -> None:
    print(json.dumps(data, indent=2) if options.json else text)
