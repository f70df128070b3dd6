"""A manager over a log and participants in memory, and a look at what became of them."""

from __future__ import annotations

from typing import Any

from regionkit.core.events import Event
from regionkit.transactions.logs.memory_async import AsyncMemoryDecisionLog
from regionkit.transactions.manager_async import AsyncTransactionManager
from regionkit.transactions.participants.memory_async import AsyncMemoryParticipant
from regionkit.transactions.transaction_async import AsyncTransaction


class AsyncMemoryRig:
    """Two participants, `accounts` and `payments`, and what a manager over them tells.

    `anchored`: the log stands in `payments`; `prepares`: False: `payments` cannot prepare.
    """

    def __init__(self, *, anchored: bool = False, prepares: bool = True) -> None:
        self.log = AsyncMemoryDecisionLog()
        self.accounts = AsyncMemoryParticipant("accounts")
        self.payments = AsyncMemoryParticipant("payments", log=self.log if anchored else None, prepares=prepares)
        self.told: list[Event] = []
        self.tm = self.manager()

    def manager(self, **options: Any) -> AsyncTransactionManager:
        """Another one over the same, as of another process."""
        both = {"accounts": self.accounts, "payments": self.payments}
        made = AsyncTransactionManager(namespace="shop", log=self.log, participants=both, **options)
        made.on_event(self.told.append)
        return made

    async def transfer(self, tm: AsyncTransactionManager | None = None, **times: Any) -> AsyncTransaction:
        """A transaction over both, with short times."""
        async with (tm or self.tm).begin(**{"timeout": 5.0, "settle": 1.0, **times}) as tx:
            await write(tx)
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


async def write(tx: AsyncTransaction) -> None:
    """The same to both."""
    for name in ("accounts", "payments"):
        session = await tx.session(name)
        session["moved"] = tx.gtrid
