"""Findings about parts of the application: `--app module:name` names a kit, a manager, an outbox, a cache ...

Each pillar has its own checks; here their results become findings.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import import_module
from inspect import isawaitable
from typing import Any

from regionkit.cli.doctor.findings import Finding, Severity
from regionkit.cli.named import named
from regionkit.errors import ConfigurationError, RegionKitError, RetentionTooShort
from regionkit.kit import RegionKit

__all__ = ["Pieces"]

Of = Callable[[Any], Any]
"""Waits for what a verb gives, where it is to be waited for."""

KINDS = "a RegionKit, a TransactionManager, an Outbox, a Cache, a Consumer or a Hospital"


class Pieces:
    """Pieces of the application; those of asyncio in one loop. A context manager: what was made here is closed at its end."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._runner: asyncio.Runner | None = None

    def __enter__(self) -> Pieces:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, given: Any) -> Any:
        """What a verb gives, of a piece of either form."""
        if not isawaitable(given):
            return given
        if self._runner is None:
            self._runner = self._stack.enter_context(asyncio.Runner())

        async def waited() -> Any:
            return await given

        return self._runner.run(waited())

    def named(self, name: str) -> Any:
        """The piece that "module:name" names, or that the function of that name makes.

        A kit for asyncio is looked at by one for threads, of the same topology.

        Raises:
            ConfigurationError: there is none, or it is no such piece.
        """
        found: Any = named(name)
        if callable(found) and not _kind(found):
            found = self.of(found())
            if hasattr(found, "close"):
                self._stack.callback(lambda: self.of(found.close()))
        if not _kind(found):
            raise ConfigurationError(f"{name!r} is a {type(found).__name__}.", fix=f"name {KINDS}.")
        if type(found).__name__ == "AsyncRegionKit":
            return self._stack.enter_context(RegionKit(found._topology, local=found._local, profile=found._profile))
        return found

    def examined(self, name: str, given: Any) -> list[Finding]:
        """What a piece finds wrong with itself."""
        ask = {
            "transactions": _transactions,
            "outbox": _outbox,
            "hospital": _hospital,
            "consumer": _consumer,
            "cache": _cache,
        }[_kind(given)]
        try:
            return list(ask(name, given, self.of))
        except RegionKitError as error:
            return [Finding("D804", "error", name, error.what, error.why, error.fix)]


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


def _transactions(name: str, manager: Any, of: Of) -> Iterator[Finding]:
    severities: dict[str, Severity] = {"warning": "warning", "refused": "error"}
    for one in of(manager.doctor()):
        if one.level in severities:
            why = "the manager does not start with it." if one.level == "refused" else "it works, with a risk."
            yield Finding("D801", severities[one.level], f"{name} {one.subject}", one.what, why, one.fix)


def _outbox(name: str, outbox: Any, of: Of) -> Iterator[Finding]:
    report = of(outbox.doctor())
    for line in report.findings:
        yield Finding(
            "D802",
            "warning",
            f"{name} {report.outbox}",
            line,
            "events that were written are not published.",
            "run `regionkit relay run MODULE:RELAY`; outbox.cases() lists blocked messages.",
        )


def _hospital(name: str, hospital: Any, of: Of) -> Iterator[Finding]:
    stats = of(hospital.stats())
    if stats.open:
        yield Finding(
            "D805",
            "warning",
            name,
            f"{stats.open} cases are open, and {stats.held} messages wait behind {stats.parked} keys.",
            "they take no effect until an operator handles them.",
            "regionkit hospital groups",
        )


def _consumer(name: str, consumer: Any, of: Of) -> Iterator[Finding]:
    retention = import_module("regionkit.messaging.retention")
    with contextlib.suppress(AttributeError):
        try:
            retention.check_retention(consumer._inbox.retention, consumer.options.accept_for, consumer.name)
        except RetentionTooShort as error:
            yield Finding("D806", "error", f"{name} {consumer.name}", error.what, error.why, error.fix)


def _cache(name: str, cache: Any, of: Of) -> Iterator[Finding]:
    if getattr(cache.strategy, "sink", None) is None:
        return
    subject = f"{name} {cache.name}"
    down = import_module("regionkit.caching.back.refusals").SinkDown
    for home, one in getattr(cache, "by_home", {"": cache}).items():
        place = f"{subject} {home}".rstrip()
        try:
            of(one.strategy.sink.check())
        except down as error:
            yield Finding(
                "D803",
                "error",
                place,
                "the table's server does not answer.",
                f"{error}.",
                "dirty values stay in the buffer; bring the server back.",
            )
        except ConfigurationError as error:
            yield Finding("D803", "error", place, error.what, error.why, error.fix)
    state = of(cache.buffer())
    if state.parked:
        yield Finding(
            "D803",
            "error",
            subject,
            f"{state.parked} values are parked.",
            "the table refused them: its rows are older than the values that readers get.",
            f"regionkit write-back list {name}",
        )
    if state.flusher:
        yield Finding(
            "D803",
            "error",
            subject,
            f"no flusher has been active for {state.flusher:.0f} s.",
            "values are not written to the table, and puts are refused when the buffer is full.",
            f"regionkit write-back run {name}",
        )
