"""Questions on a terminal; their answers are the flags."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from regionkit.cli.init.plan import Plan, backend_of, region_in
from regionkit.errors import ConfigurationError

__all__ = ["answers"]

MOST_ENDPOINTS = 64
"""Questions end somewhere: more endpoints are added in the file."""


def answers(options: argparse.Namespace, made: Callable[[argparse.Namespace], Plan]) -> Plan:
    """The plan that the flags would give which are asked for here.

    Raises:
        ConfigurationError: what was answered cannot be used.
    """
    print("One store, its primary first. Leave an answer empty to use the default in brackets.", file=sys.stderr)
    given: list[str] = []
    while len(given) < MOST_ENDPOINTS:
        what = f"URL of replica {len(given)} (empty: no more)" if given else "URL of the primary"
        url = _asked(what, "")
        if not url:
            break
        backend_of(url)
        region = _asked("  its region", region_in(url) or f"region-{len(given) + 1}")
        given.append(f"{region}={url}")
    if not given:
        raise ConfigurationError("there is no endpoint.", fix="give the URL of the primary.")
    options.endpoint = given
    plan = made(options)
    options.namespace = options.namespace or _asked("namespace", plan.namespace)
    options.store = options.store or _asked("name of the store", plan.store)
    return made(options)


def _asked(what: str, usual: str) -> str:
    """One line; the usual answer where it is empty."""
    print(f"{what}{f' [{usual}]' if usual else ''}: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() or usual
