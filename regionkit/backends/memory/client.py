"""What a block on a store in memory yields: a mutable mapping of texts to values of any kind.

Values are copied (deeply) on their way in and out: what the application does to an object after it was stored, or to one
that it was given, changes nothing in the store.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, MutableMapping
from typing import Any, Protocol

from regionkit.backends.memory.world import ABSENT
from regionkit.errors import UsageError

__all__ = ["MemoryMapping", "Transaction", "copied"]

_IMMUTABLE = frozenset({str, int, float, bool, bytes, complex, type(None)})
"""Types whose values need no copy; deepcopy would find out, ten times slower."""


def copied(value: Any) -> Any:
    """A value that shares nothing changeable with `value`."""
    return value if type(value) in _IMMUTABLE else copy.deepcopy(value)


class Transaction(Protocol):
    """What stands behind a mapping: one block."""

    def find(self, key: str) -> Any:
        """The stored value itself.

        Raises:
            KeyError: there is none.
        """
        ...

    def keys(self) -> list[str]:
        """Every key."""
        ...

    def change(self, key: str, value: Any) -> None:
        """Set a value, or delete it."""
        ...


class MemoryMapping(MutableMapping[str, Any]):
    """The handle of a block. Not shared between threads or tasks; of no use once the block has ended."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    @property
    def transaction(self) -> Transaction:
        """What it types into."""
        return self._transaction

    def __getitem__(self, key: str) -> Any:
        return copied(self._transaction.find(key))

    def __setitem__(self, key: str, value: Any) -> None:
        if type(key) is not str:
            raise UsageError(f"a key is a text, not {type(key).__name__}.", fix="write str(key).")
        self._transaction.change(key, copied(value))

    def __delitem__(self, key: str) -> None:
        self._transaction.change(key, ABSENT)

    def __contains__(self, key: object) -> bool:
        try:
            self._transaction.find(key)  # type: ignore[arg-type]  # whatever it is: it is there or not
        except KeyError:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._transaction.keys())

    def __len__(self) -> int:
        return len(self._transaction.keys())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"  # shows no data, so it may be printed after the block
