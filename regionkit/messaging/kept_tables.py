"""What messaging keeps beside the data."""

from __future__ import annotations

from regionkit.core.tables import Table

__all__ = ["GATE", "HELD", "HOSPITAL", "HOSPITAL_EVENT", "INBOX", "KEPT", "OUTBOX", "STARTED"]


def _kept(name: str, of: str = "inbox") -> Table:
    return Table("messaging", name, 1, {"sql": f"regionkit.messaging.{of}_tables_sql:{name}"})


INBOX = _kept("inbox")
"""One row a message that was taken and carries no number: its claim."""
GATE = _kept("gate")
"""One row a consumer, lineage and key: how far it has come, and whether it is parked."""
HELD = _kept("held")
"""Messages of parked keys, in order."""
STARTED = _kept("started")
"""One row a suspect: how often its handler was started, committed before it runs."""
HOSPITAL = _kept("hospital")
"""One row a case."""
HOSPITAL_EVENT = _kept("hospital_event")
"""What was done with each case, by whom, why."""

OUTBOX = tuple(
    _kept(name, "outbox")
    for name in ("outbox", "outbox_later", "outbox_payload", "outbox_key", "outbox_run", "outbox_lease")
)
"""What an outbox keeps: messages, those that are not due, payloads of several destinations, the last number of each key, the
run of the database's owner, and who publishes."""

KEPT = (INBOX, GATE, HELD, STARTED, HOSPITAL, HOSPITAL_EVENT, *OUTBOX)
