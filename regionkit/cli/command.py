"""The command line: arguments, exit codes, errors without tracebacks. Data goes to stdout, everything else to stderr."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Callable, Sequence

import regionkit
from regionkit.cli.commands import adopt, explain, status
from regionkit.cli.hospital import add_hospital
from regionkit.cli.transactions import add_transactions
from regionkit.cli.write_back import add_write_back
from regionkit.demo.command import add_arguments
from regionkit.demo.command import run as demo
from regionkit.demo.narration import explained
from regionkit.errors import ConfigurationError, RegionKitError

__all__ = ["main"]

OK, BAD, USAGE = 0, 1, 2
_CODES = """exit codes:
  0  done, and the answer is good
  1  the answer is bad: an endpoint is down or fenced, nothing may serve the call, a case waits for somebody
     or cannot be changed, a transaction is in doubt, an error
  2  wrong arguments or configuration
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code.

    Args:
        arguments: without the program's name; default those of the process.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.getLogger("regionkit").addHandler(logging.NullHandler())  # what matters of the events is in the answer
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except RegionKitError as error:
        print(explained(error), file=sys.stderr)
        return USAGE if isinstance(error, ConfigurationError) else BAD
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away
        sys.stderr.close()
        return BAD


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="regionkit",
        description="Read near, write home: data that lives in many regions.",
        epilog=_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"regionkit {regionkit.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    found = commands.add_parser("demo", help="three regions on this machine, a story in half a minute; needs no server")
    add_arguments(found)
    found.set_defaults(run=demo)

    found = commands.add_parser("status", help="role, state, lag and epoch of every endpoint, asked now")
    _where(found)
    found.set_defaults(run=status)

    found = commands.add_parser("explain", help="which endpoint would serve a call, and why no other")
    found.add_argument("store", metavar="STORE")
    found.add_argument("kind", choices=["read", "write"])
    _where(found)
    _part(found)
    found.set_defaults(run=explain)

    found = commands.add_parser("adopt", help="say which primary counts, after a promotion that servers cannot prove")
    found.add_argument("store", metavar="STORE")
    found.add_argument("region", metavar="ENDPOINT", help="its id as status shows it, or its region")
    _where(found, json=False)
    _part(found)
    found.add_argument("--yes", action="store_true", help="do not ask for the endpoint's name to be typed")
    found.set_defaults(run=adopt)

    found = commands.add_parser("relay", help="publish what stands in an outbox; or say what holds of it")
    actions = found.add_subparsers(title="actions", required=True, metavar="ACTION")
    action = actions.add_parser("run", help="publish until SIGTERM, then end what is under way")
    action.add_argument(
        "relay", metavar="MODULE:NAME", help="a Relay of the application's, or a function that makes one"
    )
    action.add_argument("--once", action="store_true", help="publish what is due now, and end")
    action.set_defaults(run=_relay("run_relay"))
    action = actions.add_parser("explain", help="order, copies, failovers, latency: what holds and what does not")
    action.add_argument(
        "relay", metavar="MODULE:NAME", help="a Relay of the application's, or a function that makes one"
    )
    action.add_argument("--json", action="store_true", help="plain data; its keys are stable")
    action.set_defaults(run=_relay("explain_relay"))
    add_hospital(commands)
    add_transactions(commands)
    add_write_back(commands)
    return parser


def _relay(name: str) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        done: int = getattr(importlib.import_module("regionkit.cli.relay"), name)(options)  # not every command needs it
        return done

    return run


def _part(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", metavar="KEY", help="of a partitioned store: the part where this key has its home")
    parser.add_argument("--home", metavar="HOME", help="the home of the key, where the caller says it (Contextual)")


def _where(parser: argparse.ArgumentParser, *, json: bool = True) -> None:
    parser.add_argument(
        "--config", default="regionkit.toml", metavar="FILE", help="the topology (default regionkit.toml)"
    )
    parser.add_argument("--local", metavar="REGION", help="the region to look from (default $REGIONKIT_REGION)")
    parser.add_argument("--folder", help="the kits' folder= on this host (default $REGIONKIT_FOLDER)")
    if json:
        parser.add_argument("--json", action="store_true", help="plain data instead of a table; its keys are stable")
