# Generated from memory_rig_async.py by scripts/twins.py. Do not edit.
"""A manager over a log and participants in memory, and a look at what became of them."""

from __future__ import annotations

from typing import Any

from regionkit.core.events import Event
from regionkit.transactions.logs.memory import MemoryDecisionLog
from regionkit.transactions.manager import TransactionManager
from regionkit.transactions.participants.memory import MemoryParticipant
from regionkit.transactions.transaction import Transaction


class MemoryRig:
    """Two participants, `accounts` and `payments`, and what a manager over them tells.

    `anchored`: the log stands in `payments`; `prepares`: False: `payments` cannot prepare.
    """

    def __init__(self, *, anchored: bool = False, prepares: bool = True) -> None:
        self.log = MemoryDecisionLog()
        self.accounts = MemoryParticipant("accounts")
        self.payments = MemoryParticipant("payments", log=self.log if anchored else None, prepares=prepares)
        self.told: list[Event] = []
        self.tm = self.manager()

    def manager(self, **options: Any) -> TransactionManager:
        """Another one over the same, as of another process."""
        both = {"accounts": self.accounts, "payments": self.payments}
        made = TransactionManager(namespace="shop", log=self.log, participants=both, **options)
        made.on_event(self.told.append)
        return made

    def transfer(self, tm: TransactionManager | None = None, **times: Any) -> Transaction:
        """A transaction over both, with short times."""
        with (tm or self.tm).begin(**{"timeout": 5.0, "settle": 1.0, **times}) as tx:
            write(tx)
        return tx

    @property
    def committed(self) -> list[bool]:
        """Whether each has the transfer."""
        return ["moved" in self.accounts.data, "moved" in self.payments.data]

    @property
    def prepared(self) -> list[str]:
        """Branches that are."""
        return sorted([*self.accounts.prepared, *self.payments.prepared])

    @property
    def decisions(self) -> list[str]:
        """What stands in the log."""
        return [row.decision.name for row in self.log.rows_now.values()]

    def seen(self, kind: type[Event]) -> list[Event]:
        """Events of a kind."""
        return [event for event in self.told if isinstance(event, kind)]


def write(tx: Transaction) -> None:
    """The same to both."""
    for name in ("accounts", "payments"):
        session = tx.session(name)
        session["moved"] = tx.gtrid
