# Generated from batch_sql_async.py by scripts/twins.py. Do not edit.
"""Many messages of one consumer, judged in one transaction of a SQL inbox: a few statements, however many they are.

1. Gates are locked sorted, so that two batches wait for each other and never deadlock; claims are written sorted.
2. Claims are written in one statement, and those that are there looked up in another: before it where copies are to be
   expected or the statement fails as a whole, else after it. Who finds one taken just now leaves it to be judged alone.
3. Copies within the batch are duplicates of its first one: all of it commits, or nothing does.
4. None is the verdict on what is not plainly to be applied or a duplicate: parked keys, gaps, mismatches.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from sqlalchemy.exc import IntegrityError

from regionkit.messaging.delivery import Gate, Judged, Verdict, judge, judge_claim, moved
from regionkit.messaging.envelope import NOTHING_BEFORE, Envelope, fingerprint, stored_id
from regionkit.messaging.inboxes.cases_sql import asked
from regionkit.messaging.inboxes.rows_sql import (
    MOVED,
    InboxStatements,
    bucket_of,
    columns_of,
    gate_key,
    gate_of,
    listed,
    require_taken,
)

__all__ = ["SqlBatches"]

_APPLY, _DUPLICATE = Judged(Verdict.APPLY), Judged(Verdict.DUPLICATE)
Verdicts = list[Judged | None]
Where = tuple[bytes, bytes]
"""Lineage and key of a gate."""


class _Raced(Exception):
    """Another one wrote the same just now: each is judged alone."""


class SqlBatches:
    """What a SQL inbox does for batches."""

    _copies = False
    """Whether the last batch had claims that were there: copies come many at a time, and are looked up before a write then."""

    @abstractmethod
    def rows_for(self, unit: Any) -> InboxStatements:
        """The statements of its dialect."""

    @abstractmethod
    def now(self) -> float:
        """Seconds since 1970 by the database's clock."""

    def judge_many(self, unit: Any, scope: bytes, envelopes: Sequence[Envelope], *, ordered: bool) -> Verdicts:
        """A verdict on each; what they say stands in the unit's transaction. None: it has to be judged alone."""
        verdicts: Verdicts = [None] * len(envelopes)
        gates: dict[Where, Gate | None] = {}
        keyed = [n for n, envelope in enumerate(envelopes) if ordered and envelope.key is not None]
        if keyed:
            gates = self._locked(unit, scope, {_where(scope, envelopes[n]) for n in keyed})
        begun = dict(gates)
        claims = []
        for n, envelope in enumerate(envelopes):
            where = _where(scope, envelope) if ordered and envelope.key is not None else None
            gate = None if where is None else gates[where]
            if gate is not None and gate.parked:
                continue
            if where is None or envelope.number is None:
                claims.append(n)
                if where is not None and gate is None:
                    gates[where] = Gate(NOTHING_BEFORE)
                continue
            judged = judge(gate, envelope.number, envelope.prev)
            if judged.verdict is Verdict.APPLY:
                gates[where] = moved(gate, envelope.number)
            if judged.verdict in (Verdict.APPLY, Verdict.DUPLICATE):
                verdicts[n] = judged
        self._claim_all(unit, scope, envelopes, claims, verdicts)
        if not self._move(unit, scope, begun, gates):
            raise _Raced
        return verdicts

    def claim_with(
        self, unit: Any, scope: bytes, envelope: Envelope, statement: Any, values: dict[str, Any]
    ) -> int | None:
        """Claim and effect as one statement: rows that the effect has changed. None where the server cannot; nothing was done.

        Raises:
            sqlalchemy.exc.IntegrityError: the claim is there already, or a key of the effect's. Nothing was done.
        """
        rows = self.rows_for(unit)
        if not rows.has_days:
            return None
        claim: dict[str, Any] = {
            "rk_bucket": bucket_of(envelope.id),
            "rk_scope": scope,
            "rk_id": stored_id(envelope.id),
            "rk_print": fingerprint(envelope),
            "rk_seen_at": self.now(),
        }
        fused = rows.of_day(rows.fused(statement), claim["rk_bucket"])
        return int((asked(unit.native, fused, {**values, **claim})).rowcount)

    def _locked(self, unit: Any, scope: bytes, wanted: set[Where]) -> dict[Where, Gate | None]:
        native, rows = unit.native, self.rows_for(unit)
        found: dict[Where, Gate | None] = dict.fromkeys(sorted(wanted))
        for lineage in sorted({lineage for lineage, _ in wanted}):
            keys = sorted(key for of, key in wanted if of == lineage)
            given = {"b_scope": scope, "b_lineage": lineage, "b_keys": keys}
            for row in native.execute(rows.lock_gates, given):
                found[lineage, bytes(row.key)] = gate_of(row)
        return found

    def _move(self, unit: Any, scope: bytes, before: dict[Where, Gate | None], after: dict[Where, Gate | None]) -> bool:
        """Write what the gates are now; False where another one began a key just now."""
        native, rows = unit.native, self.rows_for(unit)
        made: list[dict[str, Any]] = []
        changed: list[dict[str, Any]] = []
        for (lineage, key), gate in after.items():
            if gate is None or gate is before[lineage, key]:
                continue
            where = {"scope": scope, "lineage": lineage, "key": key}
            (made if before[lineage, key] is None else changed).append({**where, **columns_of(gate)})
        try:
            if made and (native.execute(rows.begin_gate, made)).rowcount not in (len(made), -1):
                return False
        except IntegrityError as error:
            require_taken(error)
            return False
        if changed and rows.move_gates is not None:
            columns = {f"a_{name}": listed([row[name] for row in changed]) for name in MOVED}
            asked(native, rows.move_gates, {"b_scope": scope, **columns})
        elif changed:
            native.execute(rows.put_gates, changed)
        return True

    def _claim_all(
        self, unit: Any, scope: bytes, envelopes: Sequence[Envelope], claims: Sequence[int], verdicts: Verdicts
    ) -> None:
        if not claims:
            return
        native, rows = unit.native, self.rows_for(unit)
        first: dict[bytes, int] = {}
        prints: dict[bytes, bytes] = {}
        buckets: dict[bytes, int] = {}
        for n in claims:
            id = stored_id(envelopes[n].id)
            if id not in first:
                first[id], prints[id] = n, fingerprint(envelopes[n])
                buckets[id] = bucket_of(envelopes[n].id)
        there: dict[bytes, bytes] = {}
        if rows.claim_many is None or self._copies:
            there = self._there(native, rows, scope, list(first), buckets)
        missing = sorted(id for id in first if id not in there)
        now = self.now()
        new = [{"bucket": buckets[id], "scope": scope, "id": id, "print": prints[id], "seen_at": now} for id in missing]
        made = self._written(native, rows, new) if new else set()
        if len(made) < len(new):
            there |= self._there(native, rows, scope, [id for id in missing if id not in made], buckets)
        self._copies = bool(there)
        for n in claims:
            id = stored_id(envelopes[n].id)
            if id in made and first[id] == n:
                verdicts[n] = _APPLY
            elif id in made or id in there:
                same = judge_claim(prints[id] if id in made else there[id], fingerprint(envelopes[n]))
                verdicts[n] = _DUPLICATE if same is Verdict.DUPLICATE else None

    def _there(
        self, native: Any, rows: InboxStatements, scope: bytes, ids: list[bytes], buckets: dict[bytes, int]
    ) -> dict[bytes, bytes]:
        """Fingerprints of claims that are there."""
        days = {buckets[id] for id in ids}
        if rows.claims_there is None:
            given = {"b_scope": scope, "b_ids": ids, "b_buckets": sorted(days)}
            return _prints(native.execute(rows.claims, given))
        found: dict[bytes, bytes] = {}
        for day in sorted(days):
            of_day = {"b_bucket": day, "b_scope": scope, "b_ids": listed([id for id in ids if buckets[id] == day])}
            found |= _prints((asked(native, rows.of_day(rows.claims_there, day), of_day)).all())
        return found

    def _written(self, native: Any, rows: InboxStatements, new: Sequence[dict[str, Any]]) -> set[bytes]:
        """Ids whose claims went in. On MariaDB and SQLite all or none do."""
        if rows.claim_many is not None:
            columns = {f"a_{name}": listed([row[name] for row in new]) for name in ("bucket", "id", "print")}
            given = {**columns, "b_scope": new[0]["scope"], "b_seen_at": new[0]["seen_at"]}
            return {bytes(row[0]) for row in (asked(native, rows.claim_many, given)).all()}
        try:
            native.execute(rows.put_claims, new)
        except IntegrityError as error:
            require_taken(error)
            raise _Raced from None
        return {row["id"] for row in new}


def _prints(rows: Any) -> dict[bytes, bytes]:
    return {bytes(row[0]): bytes(row[1]) for row in rows}


def _where(scope: bytes, envelope: Envelope) -> Where:
    where = gate_key(scope, envelope)
    return where["b_lineage"], where["b_key"]
