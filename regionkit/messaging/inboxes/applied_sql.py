# Generated from applied_sql_async.py by scripts/twins.py. Do not edit.
"""Whether this region's copy of the data shows that a message was taken: no lock, no transaction, nothing is written."""

from __future__ import annotations

from typing import Any

from regionkit.contract.backing import Backing
from regionkit.core.deadline import Deadline
from regionkit.facts.consistency import EVENTUAL
from regionkit.messaging.admitting import aside_id
from regionkit.messaging.delivery import Verdict, judge
from regionkit.messaging.envelope import Envelope, stored_id
from regionkit.messaging.inboxes.rows_sql import InboxStatements, gate_key, gate_of

__all__ = ["has_applied"]


def has_applied(
    backing: Backing,
    rows: InboxStatements,
    bucket: int,
    scope: bytes,
    envelope: Envelope,
    deadline: Deadline,
    *,
    ordered: bool,
    seen_in: str | None,
) -> bool:
    """Its gate has passed it, its claim stands, or it is held or a case: whichever copy takes over goes on from there.

    `seen_in`: only what a copy of this region shows counts.
    """
    id = stored_id(envelope.id)
    with backing.read(consistency=EVENTUAL, deadline=deadline, core=True) as unit:
        native: Any = unit.native
        if seen_in is not None and unit.owner.region != seen_in:
            return False
        named = {"b_scope": scope, "b_ids": [id, *(aside_id(reason, envelope) for reason in ("stale", "future"))]}
        if (native.execute(rows.look_case, named)).first() is not None:
            return True
        if ordered and envelope.key is not None and envelope.number is not None:
            row = (native.execute(rows.look_gate, gate_key(scope, envelope))).first()
            verdict = Verdict.GAP if row is None else judge(gate_of(row), envelope.number, envelope.prev).verdict
            if verdict in (Verdict.DUPLICATE, Verdict.OVERTAKEN):
                return True
            return (native.execute(rows.is_held, {"b_scope": scope, "b_id": id})).first() is not None
        found = native.execute(rows.look_claim, {"b_bucket": bucket, "b_scope": scope, "b_id": id})
        return found.first() is not None
