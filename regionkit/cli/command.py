"""The command line: arguments, exit codes, errors without tracebacks. Data goes to stdout, everything else to stderr.

A command's module is imported when that command is called: the help of all of them waits for none.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import NoReturn

import regionkit
from regionkit.errors import ConfigurationError, RegionKitError

__all__ = ["main"]

OK, BAD, USAGE = 0, 1, 2
_CODES = """exit codes:
  0  done, and the answer is good
  1  the answer is bad: an endpoint is down or fenced, nothing may serve the call, a doctor finds an error or a
     warning, a case waits for somebody or cannot be changed, a transaction is in doubt, an error
  2  wrong arguments or configuration
"""
COMMANDS = MappingProxyType(
    {
        "demo": ("regionkit.demo.command:add_arguments", "three regions on this machine, a story; needs no server"),
        "init": ("regionkit.cli.arguments:add_init", "write a commented regionkit.toml, by questions or from a server"),
        "doctor": ("regionkit.cli.arguments:add_doctor", "what is wrong or risky, why, and what to do"),
        "status": ("regionkit.cli.arguments:add_status", "current role, state, lag and epoch of every endpoint"),
        "explain": ("regionkit.cli.arguments:add_explain", "which endpoint would serve a call, and why no other"),
        "adopt": (
            "regionkit.cli.arguments:add_adopt",
            "name the valid primary after a promotion that servers cannot prove",
        ),
        "relay": (
            "regionkit.cli.arguments:add_relay",
            "publish the messages of an outbox; or explain what it guarantees",
        ),
        "hospital": (
            "regionkit.cli.hospital:add_hospital",
            "messages that could not be applied: look, retry, edit, release, bury",
        ),
        "tpc": (
            "regionkit.cli.transactions:add_transactions",
            "transactions over several databases: in doubt, recover, decide, doctor",
        ),
        "write-back": (
            "regionkit.cli.write_back:add_write_back",
            "write-back caches: run a flusher, list, retry, discard",
        ),
    }
)
"""By name: "module:function" that adds its arguments, and what it does."""
_INVALID = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")
_UNKNOWN = re.compile(r"unrecognized arguments: (--[\w-]+)")


class _Parser(argparse.ArgumentParser):
    """One whose errors name what was meant."""

    def error(self, message: str) -> NoReturn:
        """Print usage and error, and end with 2."""
        from regionkit.cli.suggesting import suggestion  # whoever spells well need not wait for it

        choice, option = _INVALID.search(message), _UNKNOWN.search(message)
        more = ""
        if choice is not None:
            more = suggestion(choice[1], re.findall(r"[\w-]+", choice[2]))
        elif option is not None:
            more = suggestion(option[1], _options_of(self))
        super().error(f"{message}{f'. {more}' if more else ''}")


def _options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Options of a parser and of those below it."""
    for action in parser._actions:
        yield from (name for name in action.option_strings if name.startswith("--"))
        if isinstance(action.choices, dict):
            for below in action.choices.values():
                yield from _options_of(below)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code.

    Args:
        arguments: without the program's name; default those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(given).parse_args(given)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except RegionKitError as error:
        print(_explained(error), file=sys.stderr)
        return USAGE if isinstance(error, ConfigurationError) else BAD
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away
        sys.stderr.close()
        return BAD


def _explained(error: RegionKitError) -> str:
    explained: str = import_module("regionkit.demo.narration").explained(error)
    return explained


def _parser(given: Iterable[str]) -> argparse.ArgumentParser:
    """With the arguments of the command that is called; of the others their names."""
    parser = _Parser(
        prog="regionkit",
        description="Read near, write home: data that lives in many regions.",
        epilog=_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"regionkit {regionkit.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    called = next((word for word in given if not word.startswith("-")), "")
    for name, (where, text) in COMMANDS.items():
        found = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name == called:
            module, _, add = where.partition(":")
            getattr(import_module(module), add)(found)
            if name == "demo":
                found.set_defaults(run=import_module(module).run)
    return parser
