"""`relay run` and `relay explain`: a relay that the application has made, named as "module:attribute"."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

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


def _relay(named: str) -> Relay | AsyncRelay:
    module, _, attribute = named.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"there is no relay {named!r}: {error}.",
            fix='name it as "module:attribute", from the folder of the module.',
        ) from error
    if not isinstance(found, Relay | AsyncRelay) and callable(found):
        found = found()
    if not isinstance(found, Relay | AsyncRelay):
        raise ConfigurationError(
            f"{named!r} is a {type(found).__name__}.", fix="name a Relay, or a function that makes one."
        )
    return found
