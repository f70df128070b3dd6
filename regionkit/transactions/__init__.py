"""All or none over several databases: two-phase commit with a durable decision log and recovery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from regionkit.transactions.logs.memory import MemoryDecisionLog
    from regionkit.transactions.logs.memory_async import AsyncMemoryDecisionLog
    from regionkit.transactions.manager import TransactionManager
    from regionkit.transactions.manager_async import AsyncTransactionManager
    from regionkit.transactions.participants.memory import MemoryParticipant
    from regionkit.transactions.participants.memory_async import AsyncMemoryParticipant
    from regionkit.transactions.protocol import Outcome
    from regionkit.transactions.transaction import Transaction
    from regionkit.transactions.transaction_async import AsyncTransaction

__all__ = [
    "AsyncMemoryDecisionLog",
    "AsyncMemoryParticipant",
    "AsyncTransaction",
    "AsyncTransactionManager",
    "MemoryDecisionLog",
    "MemoryParticipant",
    "Outcome",
    "Transaction",
    "TransactionManager",
]

_PAIRS = {
    "MemoryDecisionLog": "logs.memory",
    "MemoryParticipant": "participants.memory",
    "Transaction": "transaction",
    "TransactionManager": "manager",
}
"""Names that come in two worlds, and where the sync one is."""

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Outcome": "protocol",
        **_PAIRS,
        **{f"Async{name}": f"{module}_async" for name, module in _PAIRS.items()},
    },
)
