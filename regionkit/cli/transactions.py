"""`regionkit tpc`: transactions in doubt: look, recover, decide, forget; the log; the doctor.

It works with a TransactionManager of the application's, named as MODULE:NAME, or with one made of URLs. URLs are never printed.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from regionkit.cli.named import named
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError

__all__ = ["add_transactions"]

MANAGER = "REGIONKIT_TPC"
"""Environment variable of --manager."""
LOG = "REGIONKIT_TPC_LOG"
"""Environment variable of --log: a URL may have a password in it, and nobody reads it here over your shoulder."""
WITHIN = 60.0
"""Seconds for a command."""


def add_transactions(found: argparse.ArgumentParser) -> None:
    """Its actions."""
    actions = found.add_subparsers(title="actions", required=True, metavar="ACTION")

    def action(
        to: Any, name: str, run: Callable[[_Desk, argparse.Namespace], int], text: str, *names: str
    ) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = to.add_parser(name, help=text, description=text)
        for given in names:
            made.add_argument(given.lower(), metavar=given)
        _where(made)
        made.set_defaults(run=lambda options: _run(run, options))
        return made

    action(actions, "list", _list, "what has not ended everywhere; exit code 1 where somebody has to see to it")
    action(actions, "show", _show, "one transaction with the evidence of every participant", "GTRID")
    recover = action(actions, "recover", _recover, "end what coordinators have left")
    how = recover.add_mutually_exclusive_group()
    how.add_argument("--once", action="store_true", help="one run, and its report (the default)")
    how.add_argument("--watch", action="store_true", help="until SIGTERM")
    recover.add_argument("--interval", type=float, default=10.0, help="seconds between two runs (with --watch)")
    action(
        actions, "commit", _commit, "end the branches as a COMMIT that is proved, unless evidence contradicts", "GTRID"
    )
    action(
        actions, "rollback", _rollback, "decide ABORT, unless evidence contradicts, and end the branches so", "GTRID"
    )
    action(actions, "forget", _forget, "the hazards of a transaction are seen to", "GTRID")
    action(actions, "adopt", _adopt, "the instance that answers under a participant's name is the right one", "NAME")
    action(actions, "sweep", _sweep, "delete what is older than the retention")
    action(actions, "doctor", _doctor, "what is wrong or risky; exit code 1 where a manager would not start")
    log = actions.add_parser("log", help="the decision log").add_subparsers(required=True, metavar="ACTION")
    action(log, "init", _init, "make the log, and what participants keep, unless it is there")
    action(log, "verify", _verify, "its id, history and floor; exit code 1 where decisions may be missing")
    action(log, "adopt", _adopt_log, "no decision is missing: presume aborts again")


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--manager",
        metavar="MODULE:NAME",
        help=f"a TransactionManager, or a function that makes one (default ${MANAGER})",
    )
    parser.add_argument("--log", metavar="URL", help=f"of the log's database, or FILE of a file log (default ${LOG})")
    parser.add_argument("--namespace", help="of the manager (with --log)")
    parser.add_argument("--participant", action="append", default=[], metavar="NAME=URL", help="may be repeated")
    parser.add_argument("--within", type=float, default=WITHIN, metavar="SECONDS", help="for the command")
    parser.add_argument("--who", help="noted with a decision (default the user's name)")
    parser.add_argument("--json", action="store_true", help="plain data instead of text; its keys are stable")


class _Desk:
    """An operator, of threads or of a loop, and the time of one command."""

    def __init__(self, operator: Any, runner: asyncio.Runner, within: float) -> None:
        self.operator = operator
        self.recovery = operator.recovery
        self._runner = runner
        self.deadline = Deadline(SYSTEM_CLOCK, within)

    def do(self, found: Any) -> Any:
        """What a call gives, awaited where it is of a loop."""
        return self._runner.run(found) if inspect.iscoroutine(found) else found


def _run(run: Callable[[_Desk, argparse.Namespace], int], options: argparse.Namespace) -> int:
    with asyncio.Runner() as runner, _operator(options, runner) as operator:
        return run(_Desk(operator, runner, options.within), options)


@contextmanager
def _operator(options: argparse.Namespace, runner: asyncio.Runner) -> Iterator[Any]:
    given = options.manager or (None if options.log else os.environ.get(MANAGER))
    url = options.log or os.environ.get(LOG)
    if given:
        found = named(given)
        if not hasattr(found, "operator") and callable(found):
            found = found()
        if not hasattr(found, "operator"):
            raise ConfigurationError(
                f"{given!r} is a {type(found).__name__}.",
                fix="name a TransactionManager, or a function that makes one.",
            )
        try:
            yield found.operator(options.who)
        finally:
            closed = found.close()
            if inspect.iscoroutine(closed):
                runner.run(closed)
        return
    if not url or not options.namespace:
        raise ConfigurationError(
            "which transaction manager?",
            fix=f"name yours with --manager MODULE:NAME (or ${MANAGER}), or give --log, --namespace and --participant.",
        )
    with _of_urls(url, options) as manager:
        yield manager.operator(options.who)


@contextmanager
def _of_urls(url: str, options: argparse.Namespace) -> Iterator[Any]:
    engine_at = import_module("regionkit.messaging.inboxes.engine_sql").engine_at
    engines = {}
    for given in options.participant:
        name, _, address = given.partition("=")
        if not address:
            raise ConfigurationError(f"participant {name[:30]!r} has no URL.", fix="write --participant NAME=URL.")
        engines[name] = engine_at(address)
    made = []
    if "://" in url:
        made.append(engine_at(url))
        log = import_module("regionkit.transactions.logs.sql").SqlDecisionLog(made[0])
    else:
        log = import_module("regionkit.transactions.logs.file").FileDecisionLog(Path(url))
    manager = import_module("regionkit.transactions.manager").TransactionManager(
        namespace=options.namespace, log=log, participants=engines
    )
    try:
        yield manager
    finally:
        manager.close()
        for engine in (*made, *engines.values()):
            engine.dispose()


def _list(desk: _Desk, options: argparse.Namespace) -> int:
    found = desk.do(desk.recovery.look(desk.deadline))
    text = [*map(str, found.in_doubt)] or ["nothing is in doubt."]
    text += [f"{name} is unreachable: {why}" for name, why in sorted(found.unreachable.items())]
    text += [f"{name} is another instance than the one noted: {was}" for name, was in sorted(found.strange.items())]
    if not found.presumes:
        text.append("decisions may be missing from the log: no abort is presumed")
    return _print(options, found, "\n".join(text), good=found.clean)


def _show(desk: _Desk, options: argparse.Namespace) -> int:
    found = desk.do(desk.operator.show(options.gtrid, desk.deadline))
    return _print(options, found, str(found), good=not found.hazards)


def _recover(desk: _Desk, options: argparse.Namespace) -> int:
    if options.watch:
        return _watch(desk, options)
    found = desk.do(desk.recovery.run(desk.deadline))
    return _print(options, found, str(found), good=found.clean)


def _watch(desk: _Desk, options: argparse.Namespace) -> int:
    events = desk.recovery.setting.events

    def tell(event: Any) -> None:
        line = {"event": type(event).__name__, **msgspec.to_builtins(event)}
        print(msgspec.json.encode(line).decode() if options.json else event, flush=True)

    stop = events.add(tell)
    desk.do(desk.recovery.start(options.interval))
    print(f"recovers every {options.interval:g} s", file=sys.stderr, flush=True)
    if inspect.iscoroutinefunction(desk.recovery.stop):
        desk.do(_until_told_async())
    else:
        _until_told()
    desk.do(desk.recovery.stop())
    stop()
    return 0


def _until_told() -> None:
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    over.wait()


async def _until_told_async() -> None:
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await over.wait()


def _commit(desk: _Desk, options: argparse.Namespace) -> int:
    return _told(options, desk.do(desk.operator.commit(options.gtrid, desk.deadline)))


def _rollback(desk: _Desk, options: argparse.Namespace) -> int:
    return _told(options, desk.do(desk.operator.rollback(options.gtrid, desk.deadline)))


def _told(options: argparse.Namespace, found: Any) -> int:
    left = [branch.name for branch in found.branches if branch.state in ("prepared", "unreachable")]
    more = f"\nrecovery goes on with {', '.join(left)}" if left else ""
    return _print(options, found, f"{found}{more}")


def _forget(desk: _Desk, options: argparse.Namespace) -> int:
    was = desk.do(desk.operator.forget(options.gtrid, desk.deadline))
    return _print(options, {"forgotten": was}, "forgotten." if was else "it bears no hazard.", good=was)


def _adopt(desk: _Desk, options: argparse.Namespace) -> int:
    instance = desk.do(desk.operator.adopt_participant(options.name, desk.deadline))
    return _print(options, {"instance": instance}, f"{options.name} is {instance} from now on.")


def _sweep(desk: _Desk, options: argparse.Namespace) -> int:
    count = desk.do(desk.operator.sweep(desk.deadline))
    return _print(options, {"swept": count}, f"{count} rows and markers deleted.")


def _doctor(desk: _Desk, options: argparse.Namespace) -> int:
    found = desk.do(desk.operator.doctor(desk.deadline))
    lines = [f"{one.level:<8} {one.subject}: {one.what}{one.fix and f' Fix: {one.fix}'}" for one in found]
    return _print(options, found, "\n".join(lines), good=all(one.level != "refused" for one in found))


def _init(desk: _Desk, options: argparse.Namespace) -> int:
    return _facts(options, desk.do(desk.operator.create_tables(desk.deadline)))


def _verify(desk: _Desk, options: argparse.Namespace) -> int:
    return _facts(options, desk.do(desk.operator.facts(desk.deadline)))


def _adopt_log(desk: _Desk, options: argparse.Namespace) -> int:
    return _facts(options, desk.do(desk.operator.adopt_log(desk.deadline)))


def _facts(options: argparse.Namespace, facts: Any) -> int:
    text = f"log {facts.id}, history {facts.history}, floor {facts.floor}"
    if not facts.presumes:
        text += f"\nnoted is history {facts.noted}: decisions may be missing, no abort is presumed"
    return _print(options, {**msgspec.to_builtins(facts), "presumes": facts.presumes}, text, good=facts.presumes)


def _print(options: argparse.Namespace, found: Any, text: str, *, good: bool = True) -> int:
    print(msgspec.json.encode(found).decode() if options.json else _clean(text))
    return int(not good)


def _clean(text: str) -> str:
    """What servers say may be anybody's."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)
