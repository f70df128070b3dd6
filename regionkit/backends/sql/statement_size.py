"""How large a statement is on its way to the server, told from what SQLAlchemy hands to a driver. Pure.

Drivers write values into the text, or send them beside it. Only texts and bytes count: other values are small.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["least_size", "most_size"]

_ESCAPED = re.compile(r"[\0\n\r\x1a\"'\\]")
_PLACE = 4
"""Characters of a value's place in the text, `%(name)s`, beside its name; other forms have fewer."""


def least_size(statement: str, parameters: Any) -> int:
    """Bytes that the server is sent at least, by any driver: of several sets of values, the largest comes alone."""
    sizes = [sum(len(value) for value in _long(values)) - places for values, places in _sets(parameters)]
    return len(statement) + max(sizes, default=0)


def most_size(statement: str, parameters: Any) -> int:
    """Bytes that it is sent at most: texts escaped, bytes escaped or as hexadecimal digits, all sets in one message."""
    size = len(statement.encode(errors="replace"))
    for values, _ in _sets(parameters):
        for value in _long(values):
            if isinstance(value, str):
                size += len(value.encode(errors="replace")) + len(_ESCAPED.findall(value))
            else:
                size += 2 * len(value)
    return size


def _sets(parameters: Any) -> Iterator[tuple[Collection[Any], int]]:
    """The values of each run of the statement, one set or those of executemany, and what they take the place of."""
    several = isinstance(parameters, Sequence) and any(isinstance(one, Mapping | tuple | list) for one in parameters)
    for one in parameters if several else [parameters or ()]:
        if isinstance(one, Mapping):
            yield one.values(), sum(len(name) + _PLACE for name in one)
        else:
            yield one, _PLACE * len(one)


def _long(values: Collection[Any]) -> Iterator[str | bytes | bytearray | memoryview]:
    return (value for value in values if isinstance(value, str | bytes | bytearray | memoryview))
