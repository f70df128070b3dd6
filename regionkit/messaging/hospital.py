# Generated from hospital_async.py by scripts/twins.py. Do not edit.
"""The error hospital for people: look at cases, and say what becomes of them. It stands in the database of the inbox.

    hospital = Hospital(engine)
    for group in hospital.groups():
        print(group.count, group.error_type, group.error)
    hospital.edit(id, {"id": 42, "amount": 5})
    hospital.retry(id)

1. Nothing runs here: a change is rows, and whoever consumes acts on them within a second. Where nobody does, it waits.
2. Each change and its line of the audit trail (who, what, why) commit together, or neither.
3. A run under way is never disturbed (`hospital_rules`).
4. Every listing has a limit. Payloads are shown as `redact` leaves them.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable
from importlib import import_module
from typing import Any

import msgspec

from regionkit.contract.backing import backing_of
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.core.events import crash_point
from regionkit.core.given import check_text
from regionkit.core.ids import uuid7
from regionkit.errors import ConfigurationError, MessagingError, TransactionRolledBack, UsageError
from regionkit.messaging.case import Case
from regionkit.messaging.cipher import Cipher
from regionkit.messaging.envelope import Malformed, decode, encode, payload_of
from regionkit.messaging.hospital_asking import asked, case_id, limited, needed, pause_of
from regionkit.messaging.hospital_reads import HospitalReads
from regionkit.messaging.hospital_rules import (
    Change,
    NoSuchCase,
    NotPossible,
    amended,
    check,
    ended,
    redirected,
    retried,
    retyped,
)
from regionkit.messaging.hospital_views import (
    CaseLine,
    GroupRetry,
    Redact,
    Released,
    line_of,
)
from regionkit.messaging.inboxes.inbox import Inbox
from regionkit.messaging.kept_tables import INBOX_TABLES
from regionkit.messaging.sources.source import Target

__all__ = ["Hospital"]

IS_ASYNC = False
MOST_RETRIED = 10_000
"""Cases that one `retry_group` sets on their way: a larger wave wants a second look at its first part."""
AT_ONCE = 100
"""Cases that one transaction changes."""
AGAIN_AFTER = 0.05
"""Seconds before what met another's change is done again: longer than such a change takes."""
MOST_OF_A_KEY = 100
"""Cases that park one key, over all consumers."""


class Hospital(HospitalReads):
    """The cases of the consumers of one database. Safe to share between threads (tasks of one loop).

    Args:
        given: an engine or a database of MongoDB's of the application's, or a kit: the same as its inbox has.
        store: which of a kit's stores.
        namespace: prefix of its tables; a kit's own counts for its stores.
        redact: what may be shown of a decoded payload; what raises shows nothing. Errors' texts are shown as they are.
        cipher: the inbox's, where that has one.
        who: name in the audit trail; that of the process's user where none is given.
        clock: where deadlines are read.

    Raises:
        ConfigurationError: the database cannot keep a hospital.
    """

    def __init__(
        self,
        given: Any,
        *,
        store: str | None = None,
        namespace: str = "regionkit",
        redact: Redact | None = None,
        cipher: Cipher | None = None,
        who: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.given = given
        self.backing = backing_of(given, namespace=namespace, store=store, clock=clock)
        can = self.backing.capabilities
        family = "Mongo" if can.server == "mongodb" else "Sql" if "core" in can.modes else ""
        if not family:
            raise ConfigurationError(
                f"{self.backing.name!r} cannot keep a hospital.",
                fix="give what the inbox has: an engine of PostgreSQL, MariaDB, MySQL or SQLite, or a database of MongoDB's.",
            )
        rows = import_module(f"regionkit.messaging.inboxes.hospital_{family.lower()}{'_async' if IS_ASYNC else ''}")
        made = getattr(rows, f"{'Async' if IS_ASYNC else ''}{family}Hospital")
        super().__init__(made(self.backing, cipher), redact, clock)
        self._cipher = cipher
        if who is not None:
            check_text("who", who, LONGEST_WHO)
        self._who = who or _user()

    def create_tables(self, timeout: float = 30.0) -> None:
        """Make what it keeps: the same as the inbox. Many processes may call it at the same time."""
        self.backing.create_tables(INBOX_TABLES, Deadline(self._clock, timeout))

    def is_beside(self, inbox: Inbox) -> bool:
        """Whether an inbox keeps its cases here: the same engine, or kit and store, the same namespace and cipher."""
        return (
            getattr(inbox, "given", None) == self.given
            and inbox.backing.name == self.backing.name
            and inbox.backing.namespace == self.backing.namespace
            and getattr(inbox, "cipher", None) is self._cipher
        )

    def retry(self, id: str, *, reason: str = "", dry_run: bool = False) -> CaseLine:
        """Run a case again, now. It runs once if its attempts were used up; if it fails, it waits for an operator again.

        Raises:
            NoSuchCase: there is none of that id.
            NotPossible: it is running, over, or a gap.
        """
        return self._change(id, "retry", "retried", reason, lambda case, now: retried(case, now, now), dry_run)

    def retry_group(
        self,
        group: str,
        *,
        rate: float | None = None,
        max: int = MOST_RETRIED,
        consumer: str | None = None,
        reason: str = "",
        dry_run: bool = False,
    ) -> GroupRetry:
        """Run the waiting cases of a group again, in the order of their admission.

        Args:
            group: as `groups` names it.
            rate: at most so many a second: each is due by itself, so that it holds when this process is gone.
            max: at most so many; the others stay.
            consumer: only its own.
            reason: for the audit trail.
            dry_run: count, and change nothing.
        """
        most, pause = limited(max, MOST_RETRIED), pause_of(rate)
        found = asked(status="admitted", group=needed("group", group), consumer=consumer)
        size: int = self.rows.group_size(found, self.deadline())
        if dry_run:
            return GroupRetry(min(size, most), size - min(size, most))
        done, first = 0, 0.0
        while done < most:
            wanted = min(AT_ONCE, most - done)

            def work(unit: Any, wanted: int = wanted, done: int = done, first: float = first) -> Any:
                now = self.rows.now(unit)
                cases = self.rows.locked_of(unit, found, wanted)
                for at, case in enumerate(cases, done):
                    after = retried(case, now, (first or now) + at * pause)
                    self.rows.change(unit, case, after, "retried", self._who, reason or f"group {group}")
                return cases, first or now

            cases, first = self._in_unit(work)
            done += len(cases)
            crash_point("case.changed")
            if len(cases) < wanted:
                break
            found["after"] = cases[-1].id  # what has come back meanwhile had its run
        found.pop("after", None)
        return GroupRetry(done, self.rows.group_size(found, self.deadline()))

    def edit(
        self, id: str, payload: Any, *, reason: str = "", as_shown: bool = False, dry_run: bool = False
    ) -> CaseLine:
        """Give a case a new message: a new id, `amends` in its headers, this payload. It waits until it is retried.

        Args:
            id: of the case.
            payload: encoded as the old one was.
            reason: for the audit trail, which keeps the old message too.
            as_shown: the payload came through JSON: bytes and times are texts where the old one has bytes and times.
            dry_run: check it, and change nothing.

        Raises:
            NoSuchCase: there is none of that id.
            NotPossible: it is running, over, a gap, or its bytes are no message.
            UsageError: the payload cannot be encoded as the old one was.
        """

        def changed(case: Case, now: float) -> Case:
            try:
                envelope = decode(case.body)
            except Malformed as error:
                raise NotPossible(
                    f"case {case.id} has no message that could be edited.",
                    why=error.what,
                    fix="publish what was meant as a new message, and bury the case.",
                ) from None
            new = retyped(payload, _readable(envelope)) if as_shown else payload
            body = encode(amended(envelope, new, str(uuid7())))
            return msgspec.structs.replace(case, status="admitted", due_at=None, body=body, changed_at=now)

        return self._change(id, "edit", "edited", reason, changed, dry_run)

    def bury(self, id: str, *, reason: str, dry_run: bool = False) -> CaseLine:
        """Give a case up. If its key waits for it, the key continues without it; no copy of it is applied later.

        Raises:
            NoSuchCase: there is none of that id.
            NotPossible: it is running or over.
        """
        if not reason:
            raise UsageError("a case is buried for a reason.", fix='give one: reason="the order was cancelled".')
        return self._change(id, "bury", "buried", reason, lambda case, now: ended(case, "buried", now), dry_run)

    def release(
        self, key: str, *, consumer: str | None = None, reason: str = "", dry_run: bool = False
    ) -> list[Released]:
        """Let a key continue without what it waits for: missing messages are given up, or its case is buried.

        Args:
            key: of the messages.
            consumer: whose; needed where the key waits at several.
            reason: for the audit trail.
            dry_run: say what would be given up, and change nothing.

        Raises:
            NoSuchCase: nothing parks the key.
            NotPossible: its case is running.
            UsageError: it is parked at several consumers, and none is named.
        """
        found = asked(status="open", key=needed("key", key), consumer=consumer) | {"parks": True}

        def work(unit: Any) -> list[Released]:
            made = []
            now = self.rows.now(unit)
            cases = self.rows.locked_of(unit, found, MOST_OF_A_KEY)
            if not cases:
                raise NoSuchCase(
                    "no open case parks that key.",
                    fix="keys are compared byte for byte; after a case has ended, its key continues when its consumer runs.",
                )
            if len({case.scope for case in cases}) > 1:
                names = ", ".join(sorted(case.scope.decode("utf-8", "replace") for case in cases))
                raise UsageError(f"that key is parked at several consumers: {names}.", fix="name one: consumer=.")
            for case in cases:
                check(case, "release", now)
                after, gap = ended(case, "buried", now), case.reason == "gap"
                made.append(Released(line_of(after), gap, self.rows.held(unit, case)))
                if not dry_run:
                    said = (
                        "released: missing messages are given up" if gap else "released: the key continues without it"
                    )
                    self.rows.change(unit, case, after, said, self._who, reason)
            return made

        released: list[Released] = self._in_unit(work)
        crash_point("case.changed")
        return released

    def redirect(self, id: str, to: Target, *, reason: str = "", dry_run: bool = False) -> CaseLine:
        """Publish the message of a case elsewhere, with its id; then the case is closed, and its key continues.

        Publishing and the end of the case are two steps: what dies between them leaves the case open, and redirecting it again
        publishes the same id again. Whoever takes it there has to know it by its id, as an inbox does.

        Raises:
            NoSuchCase: there is none of that id.
            NotPossible: it is running, over or a gap; or it was changed while it was published, and is there too.
            MessagingError: the target did not confirm it.
        """
        if dry_run:
            return self._change(id, "redirect", "", "", lambda case, now: ended(case, "redirected", now), True)
        why = f"to {to.name}" + (f": {reason}" if reason else "")

        def begin(unit: Any) -> Case:
            case, now = self.rows.locked(unit, case_id(id)), self.rows.now(unit)
            check(case, "redirect", now)
            admitted: Case = msgspec.structs.replace(case, status="admitted", due_at=None, changed_at=now)
            self.rows.change(unit, case, admitted, "redirecting", self._who, why)
            return admitted

        def end(unit: Any) -> Case:
            still, now = self.rows.locked(unit, case_id(id)), self.rows.now(unit)
            if (still.status, still.attempts, still.body) != ("admitted", admitted.attempts, admitted.body):
                raise NotPossible(
                    f"case {id} was changed while its message was published to {to.name!r}.",
                    why=f"it is {still.status} now; the message as it was before is there, too",
                    fix="check its audit trail, and decide which of the two is valid.",
                )
            after: Case = ended(still, "redirected", now)
            self.rows.change(unit, still, after, "redirected", self._who, why)
            return after

        admitted: Case = self._in_unit(begin)  # from here on it does not run by itself
        self._publish(admitted, to)
        crash_point("case.published")
        after: Case = self._in_unit(end)
        crash_point("case.changed")
        return line_of(after)

    def _publish(self, case: Case, to: Target) -> None:
        try:
            envelope = redirected(decode(case.body), case.scope)
            sent = to.publish([(envelope.key, encode(envelope))], self.deadline())
        except Malformed:  # bytes that are no message, as they came
            sent = to.publish([(None, case.body)], self.deadline())
        if not sent[0].confirmed:
            raise MessagingError(
                f"{to.name!r} did not confirm the message of case {case.id}.",
                why=sent[0].refused or "it is not known whether the message is there",
                fix="the case is as it was: redirect it again, and it is published with the same id.",
                retryable=not sent[0].refused,
                committed="no" if sent[0].refused else "unknown",
            )

    def _change(self, id: str, what: Change, told: str, reason: str, changed: Any, dry_run: bool) -> CaseLine:
        def work(unit: Any) -> Case:
            case, now = self.rows.locked(unit, case_id(id)), self.rows.now(unit)
            check(case, what, now)
            after: Case = changed(case, now)
            if not dry_run:
                was = case.body if after.body is not case.body else None
                self.rows.change(unit, case, after, told, self._who, reason, was=was)
            return after

        after: Case = self._in_unit(work)
        crash_point("case.changed")
        return line_of(after)

    def _in_unit(self, work: Callable[[Any], Any]) -> Any:
        """`work(unit)` in a transaction; again where the server rolled it back for another one's sake."""
        deadline = self.deadline()
        while True:
            try:
                with self.rows.unit(deadline) as unit:
                    return work(unit)
            except TransactionRolledBack:
                if deadline.remaining() <= AGAIN_AFTER:
                    raise
            sleep(AGAIN_AFTER)

    def close(self) -> None:
        """Close the connections that it opened. May be called twice."""
        self.backing.close()


def _readable(envelope: Any) -> Any:
    try:
        return payload_of(envelope)
    except Malformed:
        return None


LONGEST_WHO = 120
"""Bytes, as the column is wide."""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a process without a name
        return "unknown"
