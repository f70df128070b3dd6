"""`relay run` and `relay explain`: a relay that the application has made, named as "module:attribute"."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import threading
from typing import Any

from regionkit.cli.named import named
from regionkit.errors import ConfigurationError
from regionkit.messaging.relay import Relay
from regionkit.messaging.relay_async import AsyncRelay

__all__ = ["explain_relay", "run_relay"]


def run_relay(options: argparse.Namespace) -> int:
    """Publish until SIGTERM or SIGINT; then end what is under way."""
    relay = _relay(options.relay)
    print(relay.explain(), file=sys.stderr)
    if options.once:
        done = relay.run_once() if isinstance(relay, Relay) else asyncio.run(relay.run_once())
        print(done)
        if isinstance(relay, Relay):
            relay.stop()
    elif isinstance(relay, Relay):
        _run(relay)
    else:
        asyncio.run(_run_async(relay))
    return 0


def explain_relay(options: argparse.Namespace) -> int:
    """What holds of what it publishes."""
    found = _relay(options.relay).explain()
    print(json.dumps(found.to_dict(), indent=2) if options.json else found)
    return 0


def _run(relay: Relay) -> None:
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    relay.start()
    while not told.wait(60.0):
        pass
    relay.stop()
    print(relay.counts)


async def _run_async(relay: AsyncRelay) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await relay.start()
    await told.wait()
    await relay.stop()
    print(relay.counts)


def _relay(name: str) -> Relay | AsyncRelay:
    found: Any = named(name)
    if not isinstance(found, Relay | AsyncRelay) and callable(found):
        found = found()
    if not isinstance(found, Relay | AsyncRelay):
        raise ConfigurationError(
            f"{name!r} is a {type(found).__name__}.", fix="name a Relay, or a function that makes one."
        )
    return found
