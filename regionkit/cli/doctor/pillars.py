"""What the application's own pieces say of themselves: `--app module:name` names a kit, a manager, an outbox, a cache ...

Each pillar has a doctor of its own; here their answers become findings.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module
from inspect import isawaitable
from pathlib import Path
from typing import Any

from regionkit.cli.doctor.findings import Finding, Severity
from regionkit.errors import ConfigurationError, RegionKitError, RetentionTooShort
from regionkit.kit import RegionKit

__all__ = ["examined", "named"]

KINDS = "a RegionKit, a TransactionManager, an Outbox, a Cache, a Consumer or a Hospital"


def named(name: str, stack: ExitStack) -> Any:
    """The piece that "module:name" names, or that the function of that name makes; closed at the end where it was made here.

    A kit for asyncio is looked at by one for threads, of the same topology.

    Raises:
        ConfigurationError: there is none, or it is no such piece.
    """
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"{name!r} cannot be loaded.", why=f"{error}.", fix="write MODULE:NAME.") from error
    if callable(found) and not _kind(found):
        found = found()
        if not isawaitable(found) and hasattr(found, "close"):
            stack.callback(lambda: _of(found.close()))
    if not _kind(found):
        raise ConfigurationError(f"{name!r} is a {type(found).__name__}.", fix=f"name {KINDS}.")
    if type(found).__name__ == "AsyncRegionKit":
        found = stack.enter_context(RegionKit(found._topology, local=found._local, profile=found._profile))
    return found


def _of(given: Any) -> Any:
    """What a verb gives, of a piece of either form."""
    if not isawaitable(given):
        return given

    async def waited() -> Any:
        return await given

    return asyncio.run(waited())


def _kind(given: Any) -> str:
    if isinstance(given, type):
        return ""
    if type(given).__name__ in ("RegionKit", "AsyncRegionKit"):
        return "kit"
    module = type(given).__module__
    for room, verb, kind in (
        ("transactions", "in_doubt", "transactions"),
        ("messaging", "doctor", "outbox"),
        ("messaging", "stats", "hospital"),
        ("messaging", "run_once", "consumer"),
        ("caching", "strategy", "cache"),
    ):
        if module.startswith(f"regionkit.{room}.") and hasattr(given, verb):
            return kind
    return ""


def examined(name: str, given: Any) -> list[Finding]:
    """What a piece finds wrong with itself."""
    ask = {
        "transactions": _transactions,
        "outbox": _outbox,
        "hospital": _hospital,
        "consumer": _consumer,
        "cache": _cache,
    }[_kind(given)]
    try:
        return list(ask(name, given))
    except RegionKitError as error:
        return [Finding("D804", "error", name, error.what, error.why, error.fix)]


def _transactions(name: str, manager: Any) -> Iterator[Finding]:
    severities: dict[str, Severity] = {"warning": "warning", "refused": "error"}
    for one in _of(manager.doctor()):
        if one.level in severities:
            why = "the manager does not start with it." if one.level == "refused" else "it works, with a risk."
            yield Finding("D801", severities[one.level], f"{name} {one.subject}", one.what, why, one.fix)


def _outbox(name: str, outbox: Any) -> Iterator[Finding]:
    report = _of(outbox.doctor())
    for line in report.findings:
        yield Finding(
            "D802",
            "warning",
            f"{name} {report.outbox}",
            line,
            "what was written here is not told elsewhere.",
            "regionkit relay run MODULE:RELAY publishes; outbox.cases() names what is stuck.",
        )


def _hospital(name: str, hospital: Any) -> Iterator[Finding]:
    stats = _of(hospital.stats())
    if stats.open:
        yield Finding(
            "D805",
            "warning",
            name,
            f"{stats.open} cases are open, and {stats.held} messages wait behind {stats.parked} keys.",
            "they take no effect until somebody sees to them.",
            "regionkit hospital groups",
        )


def _consumer(name: str, consumer: Any) -> Iterator[Finding]:
    retention = import_module("regionkit.messaging.retention")
    with contextlib.suppress(AttributeError):
        try:
            retention.check_retention(consumer._inbox.retention, consumer.options.accept_for, consumer.name)
        except RetentionTooShort as error:
            yield Finding("D806", "error", f"{name} {consumer.name}", error.what, error.why, error.fix)


def _cache(name: str, cache: Any) -> Iterator[Finding]:
    sink = getattr(cache.strategy, "sink", None)
    if sink is None:
        return
    subject = f"{name} {cache.name}"
    down = import_module("regionkit.caching.back.refusals").SinkDown
    try:
        _of(sink.check())
    except down as error:
        yield Finding(
            "D803",
            "error",
            subject,
            "the table's server does not answer.",
            f"{error}.",
            "what is dirty stays in the buffer; bring the server back.",
        )
    except ConfigurationError as error:
        yield Finding("D803", "error", subject, error.what, error.why, error.fix)
    state = _of(cache.buffer())
    if state.parked:
        yield Finding(
            "D803",
            "error",
            subject,
            f"{state.parked} values are parked.",
            "the table refused them: rows are older than what readers are given.",
            f"regionkit write-back list {name}",
        )
    if state.flusher:
        yield Finding(
            "D803",
            "error",
            subject,
            f"no flusher has worked for {state.flusher:.0f} s.",
            "values are not written, and puts are refused when the buffer is full.",
            f"regionkit write-back run {name}",
        )
