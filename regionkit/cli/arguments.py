"""The arguments of the commands that need a topology. What carries them out is imported when a command runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module

__all__ = ["add_adopt", "add_doctor", "add_explain", "add_init", "add_relay", "add_status"]

SECONDS = 10.0
"""For each endpoint that `doctor` examines: connecting over a continent and some twenty questions."""


def _later(where: str) -> Callable[[argparse.Namespace], int]:
    """Runs the function "module:name" of this package."""

    def run(options: argparse.Namespace) -> int:
        module, _, name = where.partition(":")
        done: int = getattr(import_module(f"regionkit.cli.{module}"), name)(options)
        return done

    return run


def add_status(found: argparse.ArgumentParser) -> None:
    """Of `status`."""
    _where(found)
    found.add_argument("--watch", action="store_true", help="look again and again, until Ctrl-C (needs rich)")
    found.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="between two looks (default 1)")
    found.set_defaults(run=_later("commands:status"))


def add_explain(found: argparse.ArgumentParser) -> None:
    """Of `explain`."""
    found.add_argument("store", metavar="STORE")
    found.add_argument("kind", choices=["read", "write"])
    _where(found)
    _part(found)
    found.set_defaults(run=_later("commands:explain"))


def add_adopt(found: argparse.ArgumentParser) -> None:
    """Of `adopt`."""
    found.add_argument("store", metavar="STORE")
    found.add_argument("region", metavar="ENDPOINT", help="its id as status shows it, or its region")
    _where(found, json=False)
    _part(found)
    found.add_argument("--yes", action="store_true", help="do not ask to type the endpoint's name")
    found.set_defaults(run=_later("commands:adopt"))


def add_doctor(found: argparse.ArgumentParser) -> None:
    """Of `doctor`."""
    _where(found)
    found.set_defaults(config=None)
    found.add_argument(
        "--app",
        action="append",
        default=[],
        metavar="MODULE:NAME",
        help="a kit, TransactionManager, Outbox, Cache, Consumer or Hospital of the application's; may be given often",
    )
    found.add_argument(
        "--timeout", type=float, default=SECONDS, metavar="SECONDS", help="for each endpoint (default 10)"
    )
    found.set_defaults(run=_later("doctor.command:doctor"))


def add_init(found: argparse.ArgumentParser) -> None:
    """Of `init`."""
    found.add_argument("--config", default="regionkit.toml", metavar="FILE", help="written; never overwritten")
    found.add_argument("--namespace", help="prefix of what regionkit keeps (default: the folder's name)")
    found.add_argument("--store", help="name of the store (default: the database's name)")
    found.add_argument(
        "--local", metavar="REGION", help="the region in the printed next steps (default: the primary's region)"
    )
    found.add_argument(
        "--endpoint",
        action="append",
        default=[],
        metavar="REGION=URL",
        help="an endpoint; the first one is the primary. ${NAME} in it stays as it is",
    )
    found.add_argument(
        "--from",
        dest="source",
        metavar="URL",
        help="a running PostgreSQL, MySQL, MariaDB, MongoDB or Cassandra: its replicas, members or data centres are read",
    )
    found.add_argument(
        "--region",
        action="append",
        default=[],
        metavar="HOST=REGION",
        help="with --from: the region of a host that was found; can be repeated",
    )
    found.set_defaults(run=_later("init.command:init"))


def add_relay(found: argparse.ArgumentParser) -> None:
    """Of `relay`."""
    text = "a Relay of the application's, or a function that makes one"
    actions = found.add_subparsers(title="actions", required=True, metavar="ACTION")
    action = actions.add_parser("run", help="publish until SIGTERM, then finish the current batch")
    action.add_argument("relay", metavar="MODULE:NAME", help=text)
    action.add_argument("--once", action="store_true", help="publish what is due now, then exit")
    action.set_defaults(run=_later("relay:run_relay"))
    action = actions.add_parser("explain", help="order, copies, failovers, latency: what holds and what does not")
    action.add_argument("relay", metavar="MODULE:NAME", help=text)
    action.add_argument("--json", action="store_true", help="plain data; its keys are stable")
    action.set_defaults(run=_later("relay:explain_relay"))


def _part(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", metavar="KEY", help="of a partitioned store: the home partition of this key")
    parser.add_argument("--home", metavar="HOME", help="the home of the key, if the caller passes it (Contextual)")


def _where(parser: argparse.ArgumentParser, *, json: bool = True) -> None:
    parser.add_argument(
        "--config", default="regionkit.toml", metavar="FILE", help="the topology (default regionkit.toml)"
    )
    parser.add_argument("--local", metavar="REGION", help="the region to look from (default $REGIONKIT_REGION)")
    parser.add_argument("--folder", help="the kits' folder= on this host (default $REGIONKIT_FOLDER)")
    if json:
        parser.add_argument("--json", action="store_true", help="plain data instead of a table; its keys are stable")
