# Generated from session_transaction_async.py by scripts/twins.py. Do not edit.
"""The part of a session that begins global transactions. They are another pillar's: its manager is found at the kit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, UsageError
from regionkit.routing.branch_places import BranchPlaces
from regionkit.routing.session_state import SessionState
from regionkit.routing.store import RoutedStore
from regionkit.topology import Store

__all__ = ["BeginsTransactions"]


class BeginsTransactions:
    """The part of a session that begins global transactions."""

    kit: object
    _state: SessionState

    def _located(
        self, store: str | Store, deadline: Deadline, key: str | None, home: str | None, unlocked: bool
    ) -> tuple[RoutedStore, str]:
        raise NotImplementedError

    def transaction(
        self,
        *,
        stores: Sequence[str | Store],
        timeout: float = 10.0,
        settle: float = 5.0,
        ack: Literal["settled", "decided"] = "settled",
    ) -> Any:
        """A global transaction over several stores: `with s.transaction(stores=["orders", "payments"]) as tx`.

        All of it commits or nothing. A branch opens at the current owner of its store with its first use, `tx.session("orders")`;
        of a partitioned store, `tx.session("carts", key="...")`. Where another endpoint has become the owner before the
        COMMIT, it is rolled back. Afterwards this session's reads see what was committed; what is pending is read from the
        owner, until `tx.wait_settled()`.

        Args:
            stores: those that it may use: of the kit's TransactionManager.
            timeout: seconds from its begin to the decision; then it is rolled back.
            settle: seconds that the end of the block waits for the branches after the decision.
            ack: "decided" returns at the durable decision.

        Raises:
            ConfigurationError: the kit has no TransactionManager.
            UsageError: no stores, or one that is not the manager's; times or `ack` that cannot be.
            The block raises TransactionAborted, TransactionInDoubt, HeuristicOutcome at its end.
        """
        manager = getattr(self.kit, "transactions", None)
        if manager is None:
            raise ConfigurationError(
                "the kit has no manager of transactions.",
                why="a manager logs the decisions.",
                fix="make one, once: TransactionManager(kit, log=..., stores=[...]).",
            )
        names = [one if isinstance(one, str) else one.name for one in stores]
        if not names or isinstance(stores, str):
            raise UsageError("the transaction names no stores.", fix='name them: stores=["orders", "payments"].')

        def locate(store: str, key: str | None, deadline: Deadline) -> RoutedStore:
            return (self._located(store, deadline, key, None, False))[0]

        places = BranchPlaces(self._state, locate, names)
        return manager.begin_for(names, places, timeout=timeout, settle=settle, ack=ack)
