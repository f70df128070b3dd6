"""`regionkit hospital`: look at the cases of a database's consumers, and say what becomes of them.

Payloads and headers are printed with --payload only, database URLs never. What came with a message is printed without its
control characters: it may be anybody's.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from regionkit.cli.commands import kit_of, seen
from regionkit.cli.named import named
from regionkit.errors import ConfigurationError, UsageError
from regionkit.messaging.hospital import Hospital
from regionkit.messaging.hospital_asking import STATUSES
from regionkit.messaging.hospital_views import CaseLine, as_json, without_payloads

__all__ = ["add_hospital"]

URL = "REGIONKIT_URL"
"""Environment variable of --url: there nobody reads it over your shoulder, nor in a list of processes."""
LARGEST_INPUT = 4 << 20
"""Characters of a new payload: far above what a message may have, and no whole disk."""


def add_hospital(found: argparse.ArgumentParser) -> None:
    """Its actions."""
    actions = found.add_subparsers(title="actions", required=True, metavar="ACTION")

    def action(name: str, run: Callable[..., int], text: str, *names: str, changes: bool = False) -> Any:
        made = actions.add_parser(name, help=text, description=text)
        for given in names:
            made.add_argument(given.lower(), metavar=given)
        _where(made)
        if changes:
            made.add_argument("--dry-run", action="store_true", help="show what would be done, and change nothing")
            made.add_argument("--reason", default="", help="for the audit trail")
        made.set_defaults(run=lambda options: _run(run, options))
        return made

    _filters(action("list", _list, "cases, the oldest first"), status="open").add_argument("--after", metavar="ID")
    action("groups", _groups, "open cases by their cause").add_argument("--limit", type=int, default=100)
    _payload(action("show", _show, "all of one case", "ID"))
    action("stats", _stats, "counts; exit code 1 while a case waits for somebody")
    _payload(_filters(action("export", _export, "cases as lines of JSON"), status=None))
    action("retry", _retry, "let a case run again", "ID", changes=True)
    group = action("retry-group", _retry_group, "let the waiting cases of a group run again", "GROUP", changes=True)
    group.add_argument("--rate", type=float, help="at most so many a second")
    group.add_argument("--max", type=int, help="at most so many")
    group.add_argument("--consumer")
    action("edit", _edit, "give a case a new payload, JSON from FILE or - (stdin)", "ID", "FILE", changes=True)
    to = action("redirect", _redirect, "publish a case's message elsewhere, and end the case", "ID", changes=True)
    to.add_argument("--to", required=True, metavar="MODULE:NAME", help="a source or target of your application's")
    release = action(
        "release", _release, "let a key continue without the message that it waits for", "KEY", changes=True
    )
    release.add_argument("--consumer")
    action("bury", _bury, "give a case up; needs --reason", "ID", changes=True)


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url", help=f"of the inbox's database, as SQLAlchemy writes it, or mongodb://... (default ${URL})"
    )
    parser.add_argument("--namespace", default="regionkit", help="of the inbox (with --url)")
    parser.add_argument("--store", help="of a kit, instead of --url")
    parser.add_argument("--config", default="regionkit.toml", metavar="FILE", help="the kit's topology (with --store)")
    parser.add_argument("--local", metavar="REGION", help="the region to look from (with --store)")
    parser.add_argument("--folder", help="the kits' folder= on this host (with --store)")
    parser.add_argument("--redact", metavar="MODULE:NAME", help="a function of a payload: what may be shown of it")
    parser.add_argument("--cipher", metavar="MODULE:NAME", help="the inbox's cipher")
    parser.add_argument("--who", help="name in the audit trail (default the user's)")
    parser.add_argument("--json", action="store_true", help="plain data instead of text; its keys are stable")


def _filters(parser: argparse.ArgumentParser, *, status: str | None) -> argparse.ArgumentParser:
    parser.add_argument("--status", choices=STATUSES, default=status)
    for name in ("reason", "type", "key", "consumer", "group"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--limit", type=int, default=100 if status else None)
    return parser


def _payload(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--payload", action="store_true", help="print payloads and headers too")


def _filtered(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("status", "reason", "type", "key", "consumer", "group", "limit")}


def _run(run: Callable[[Hospital, argparse.Namespace], int], options: argparse.Namespace) -> int:
    try:
        with _hospital(options) as hospital:
            return run(hospital, options)
    except UsageError as error:  # what was asked for cannot be; main knows it as a wrong argument
        raise ConfigurationError(error.what, why=error.why, fix=error.fix) from error


@contextmanager
def _hospital(options: argparse.Namespace) -> Iterator[Hospital]:
    more = {name: named(getattr(options, name)) for name in ("redact", "cipher") if getattr(options, name)}
    more["who"] = options.who
    if options.store is not None:
        with kit_of(options) as kit:
            seen(kit)
            yield Hospital(kit, store=options.store, **more)
        return
    url = options.url or os.environ.get(URL)
    if not url:
        raise ConfigurationError("which database?", fix=f"set {URL} to its URL, or name a kit's store with --store.")
    inboxes, is_mongo = "regionkit.messaging.inboxes", url.startswith("mongodb")
    if is_mongo:  # neither is imported before: it takes a moment
        given = import_module(f"{inboxes}.database_mongo").database_at(url)
    else:
        given = import_module(f"{inboxes}.engine_sql").engine_at(url)
    hospital = Hospital(given, namespace=options.namespace, **more)
    try:
        yield hospital
    finally:
        hospital.close()
        given.client.close() if is_mongo else given.dispose()


def _list(hospital: Hospital, options: argparse.Namespace) -> int:
    found = hospital.cases(**_filtered(options), after=options.after)
    heads = ("CASE", "STATUS", "REASON", "CONSUMER", "TYPE", "KEY", "RUNS", "AGE", "ERROR")
    table = [_cells(case) for case in found]
    return _print(options, found, _table(heads, table) or "no case.")


def _cells(case: CaseLine) -> tuple[Any, ...]:
    status = case.status + (", key waits" if case.parks else "")
    age, error = _age(case.admitted_at), f"{case.error_type}: {case.error}" if case.error_type else case.error
    return (case.id, status, case.reason, case.consumer, case.type, case.key or "", case.attempts, age, error[:60])


def _groups(hospital: Hospital, options: argparse.Namespace) -> int:
    found = hospital.groups(options.limit)
    heads = ("GROUP", "CASES", "WAIT", "REASON", "NEWEST", "EXAMPLE", "ERROR")
    table = [
        (
            one.group,
            one.count,
            one.waiting,
            one.reason,
            _age(one.newest),
            one.example,
            f"{one.error_type}: {one.error}"[:60],
        )
        for one in found
    ]
    return _print(options, found, _table(heads, table) or "no open case.")


def _show(hospital: Hospital, options: argparse.Namespace) -> int:
    found = hospital.show(options.id)
    if not options.payload:
        found = without_payloads(found)
    case = found.case
    lines = [
        f"{name:<12} {_clean(value)}" for name, value in msgspec.to_builtins(case).items() if value not in ("", None)
    ]
    if options.payload:
        lines.append(f"headers      {as_json(found.message.headers).decode()}")
        lines.append(f"payload      {_clean(found.message.unreadable or as_json(found.message.payload).decode())}")
    lines.append(f"held         {found.held_count} messages" + (f", from n={found.held[0].n}" if found.held else ""))
    lines += [f"{_at(line.at)}  {line.what}  by {_clean(line.who)}  {_clean(line.reason)}" for line in found.trail]
    return _print(options, found, "\n".join((*lines, found.stack.rstrip())))


def _stats(hospital: Hospital, options: argparse.Namespace) -> int:
    found = hospital.stats()
    oldest = "" if found.oldest is None else f", the oldest for {_age(found.oldest)}"
    text = f"{found.open} open, {found.waiting} wait for somebody{oldest}; {found.held} held behind {found.parked} keys"
    _print(options, found, "\n".join((text, _table(("CONSUMER", "STATUS", "REASON", "CASES"), found.cases))).rstrip())
    return int(found.waiting > 0)


def _export(hospital: Hospital, options: argparse.Namespace) -> int:
    for line in hospital.export(**_filtered(options), payload=options.payload):
        sys.stdout.write(line.decode() + "\n")
    return 0


def _retry(hospital: Hospital, options: argparse.Namespace) -> int:
    return _told(options, hospital.retry(options.id, reason=options.reason, dry_run=options.dry_run))


def _retry_group(hospital: Hospital, options: argparse.Namespace) -> int:
    more = {} if options.max is None else {"max": options.max}
    given = {"rate": options.rate, "consumer": options.consumer, "reason": options.reason, **more}
    found = hospital.retry_group(options.group, **given, dry_run=options.dry_run)
    told = "would run again" if options.dry_run else "run again"
    return _print(options, found, f"{found.retried} cases {told}, {found.left} stay")


def _edit(hospital: Hospital, options: argparse.Namespace) -> int:
    try:
        with sys.stdin if options.file == "-" else Path(options.file).open(encoding="utf-8") as file:
            text = file.read(LARGEST_INPUT)
        payload = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError("the new payload cannot be read.", why=str(error), fix="give JSON.") from error
    given = {"reason": options.reason, "as_shown": True, "dry_run": options.dry_run}
    return _told(options, hospital.edit(options.id, payload, **given))


def _redirect(hospital: Hospital, options: argparse.Namespace) -> int:
    target = named(options.to)
    if not hasattr(target, "publish"):
        raise ConfigurationError(
            f"{options.to!r} is not a target.", fix="name a SqlQueue, RedisStream, MemoryQueue, ..."
        )
    return _told(options, hospital.redirect(options.id, target, reason=options.reason, dry_run=options.dry_run))


def _release(hospital: Hospital, options: argparse.Namespace) -> int:
    given = {"consumer": options.consumer, "reason": options.reason, "dry_run": options.dry_run}
    found = hospital.release(options.key, **given)
    lines = []
    for one in found:
        what = "what was missing" if one.gap else "its message"
        told = "would be" if options.dry_run else "is"
        lines.append(f"case {one.case.id}: {what} {told} given up; {one.held} held messages follow")
    return _print(options, found, "\n".join(lines))


def _bury(hospital: Hospital, options: argparse.Namespace) -> int:
    return _told(options, hospital.bury(options.id, reason=options.reason, dry_run=options.dry_run))


def _told(options: argparse.Namespace, case: CaseLine) -> int:
    return _print(options, case, f"case {case.id} {'would be' if options.dry_run else 'is'} {case.status}")


def _print(options: argparse.Namespace, found: Any, text: str) -> int:
    print(as_json(found).decode() if options.json else text)
    return 0


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return ""
    cells = [list(heads), *([_clean(cell) for cell in row] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def _clean(value: Any) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value))


def _at(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))


def _age(seconds: float) -> str:
    age = max(0.0, time.time() - seconds)
    unit, size = next(((u, s) for u, s in (("d", 86_400), ("h", 3600), ("m", 60)) if age >= s), ("s", 1))
    return f"{age / size:.0f} {unit}"
