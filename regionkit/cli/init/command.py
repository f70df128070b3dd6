"""`regionkit init`: flags, answers on a terminal, or a running server; then a file that was read back before it is written."""

from __future__ import annotations

import argparse
import re
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from regionkit.cli.init.asking import answers
from regionkit.cli.init.discovering import discovered
from regionkit.cli.init.plan import (
    BOOKMARK_KEY,
    CLUSTERS,
    Place,
    Plan,
    backend_of,
    database_of,
    hidden,
    text_of,
    usual_namespace,
)
from regionkit.errors import ConfigurationError
from regionkit.topology.loading import parse_toml

__all__ = ["init"]

KEY_BYTES = 32
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def init(options: argparse.Namespace) -> int:
    """Write the file. Nothing is written over: 2 where it is there."""
    path = Path(options.config)
    if path.exists():
        raise ConfigurationError(f"{path} already exists.", fix="name another file with --config, or move this one.")
    plan = _plan(options)
    text = text_of(plan)
    names = dict.fromkeys((BOOKMARK_KEY, *_VARIABLE.findall(text)), "x" * 40)
    parse_toml(text, name=str(path), environ=names)  # what cannot be read back is not written
    try:
        with path.open("x", encoding="utf-8") as file:  # never over one that came meanwhile
            file.write(text)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written.", why=f"{error.strerror}.", fix="see --config.") from error
    _what_next(options, path, plan)
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    if options.source and options.endpoint:
        raise ConfigurationError("--from and --endpoint exclude each other.", fix="give one of them.")
    if options.source:
        return discovered(options)
    if options.endpoint:
        return _of_flags(options)
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "init has no arguments, and there is no terminal to ask on.",
            fix="give --endpoint REGION=URL for each endpoint, the primary first; or --from URL of a running server.",
        )
    return answers(options, _of_flags)


def _of_flags(options: argparse.Namespace) -> Plan:
    places, known = [], dict[str, str]()
    for number, given in enumerate(options.endpoint):
        region, equals, url = given.partition("=")
        if not equals or "://" not in url or "://" in region:
            raise ConfigurationError(
                "an --endpoint is not REGION=URL.", fix="write us-east-1=postgresql://app@host/shop."
            )
        places.append(Place(region, "replica" if number else "primary", url))
    backends = {backend_of(place.url) for place in places}
    if len(backends) > 1:
        raise ConfigurationError(
            f"the endpoints are of {len(backends)} kinds: {', '.join(sorted(backends))}.",
            why="servers of different kinds do not replicate from each other.",
            fix="write one store; add others in the file.",
        )
    [backend] = backends
    store = options.store or database_of(places[0].url) or "main"
    url = hidden(places[0].url, store, known)
    if backend in CLUSTERS:
        if len({place.url for place in places}) > 1:
            raise ConfigurationError(
                "a cluster has one URL.", fix="give it with each region, or use --from, which finds the regions."
            )
        places = [place._replace(url="") for place in places]
    else:
        places = [place._replace(url=hidden(place.url, store, known)) for place in places]
    variables = tuple((name, "the password in the URL") for name in known.values())
    return Plan(
        options.namespace or usual_namespace(Path.cwd().name), store, backend, tuple(places), url, variables=variables
    )


def _what_next(options: argparse.Namespace, path: Path, plan: Plan) -> None:
    """On stderr: what the file needs from outside. Passwords are not printed; a key for bookmarks is made."""
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr)  # noqa: E731
    say(f"{path} is written. Now:")
    say(f"  export {BOOKMARK_KEY}={secrets.token_hex(KEY_BYTES)}    # a new one; keep it with your secrets")
    for name, text in plan.variables:
        say(f"  export {name}=...    # {text}")
    local = options.local or next((place.region for place in plan.places if place.region), "")
    say(f"  export REGIONKIT_REGION={local}    # where this process runs")
    say("  python -c \"from regionkit import RegionKit; RegionKit.from_toml('%s').create_tables()\"" % path)  # noqa: UP031
    say(f"  regionkit doctor --config {path}")
