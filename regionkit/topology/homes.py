"""Home functions: which partition a key belongs to, so who takes its writes. As values; routing resolves them.

| function    | where the home is found               | needs            | changes by                |
|-------------|----------------------------------------|------------------|---------------------------|
| Intrinsic   | in the key itself                      | nothing          | never: another key        |
| Hashed      | crc32 of the key in 1,024 slots        | the stored table | refused when it differs   |
| Contextual  | the caller's `home=`                   | the caller       | the caller                |
| Directory   | a row in a store, versioned            | that store       | compare-and-set           |

A home is the name of a region, or of a partition where the store's endpoints hold `partitions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Protocol
from zlib import crc32

from regionkit.errors import ConfigurationError, UnknownHome
from regionkit.topology.registry import named
from regionkit.topology.validation import is_storable, sequence_of, shown

__all__ = ["HOMES", "SLOTS", "Contextual", "Directory", "Hashed", "Home", "Intrinsic", "check_key", "home", "slot"]

SLOTS = 1024
"""Slots of `Hashed`: fine enough that 3 to 30 regions differ by a few per cent, few enough to keep as one row."""
LONGEST_KEY = 512
"""Longest key, characters: it is an index key of the directory, and part of error messages."""


class Home(Protocol):
    """What every home function has: its name in TOML."""

    name: ClassVar[str]


@dataclass(frozen=True, slots=True)
class Intrinsic:
    """The home is part of the key: `pattern` has one named group, `region` (or `partition`).

    Attributes:
        pattern: a regular expression that matches from the key's beginning (`re.match`). Keep it simple: it runs on every
            call, on a text that comes from outside.

    Raises:
        ConfigurationError: no regular expression, or not exactly one named group of one of those names.
    """

    name: ClassVar[str] = "intrinsic"

    pattern: str
    _match: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        problem = ""
        try:
            found = re.compile(self.pattern)
        except (re.error, TypeError, OverflowError, RecursionError) as error:
            problem = str(error)
        if problem:
            raise ConfigurationError(f"pattern {shown(self.pattern)} is not a regular expression.", why=f"{problem}.")
        groups = [name for name in found.groupindex if name in ("region", "partition")]
        if len(groups) != 1:
            raise ConfigurationError(
                f"pattern {shown(self.pattern)} does not say where the home is.",
                why="two groups would be ambiguous, and without one there is nothing to take.",
                fix="name one group: ^(?P<region>[a-z0-9-]+):",
            )
        object.__setattr__(self, "_match", (found.match, found.groupindex[groups[0]]))

    def of(self, key: str) -> str:
        """The home of `key`.

        Raises:
            UnknownHome: the pattern does not match it.
        """
        match, group = self._match
        found = match(key)
        home: str | None = None if found is None else found[group]
        if not home:
            raise UnknownHome(
                f"key {shown(key)} does not say where its home is.",
                why=f"it does not match {self.pattern!r}.",
                fix="make keys that begin with their home, or choose another home function.",
                key=key,
            )
        return home


@dataclass(frozen=True, slots=True)
class Hashed:
    """Keys are spread over `regions` by hash: crc32 of the UTF-8 key picks one of 1,024 slots, slot i belongs to
    `regions[i * n // 1024]`.

    The table is stored beside the data by `kit.create_tables()`; a kit with another list is refused there, because keys
    would change their home without their data.

    Attributes:
        regions: homes in order; the order matters.

    Raises:
        ConfigurationError: none, one twice, or more than there are slots.
    """

    name: ClassVar[str] = "hashed"

    regions: tuple[str, ...]
    _table: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __init__(self, regions: Iterable[str]) -> None:
        listed = sequence_of("regions", regions, str)
        if not listed or len(set(listed)) != len(listed) or len(listed) > SLOTS:
            raise ConfigurationError(
                "Hashed needs regions, each once.", fix='write Hashed(["us-east-1", "ap-northeast-2"]).'
            )
        object.__setattr__(self, "regions", listed)
        object.__setattr__(self, "_table", tuple(listed[i * len(listed) // SLOTS] for i in range(SLOTS)))

    def of(self, key: str) -> str:
        """The home of `key`."""
        return self._table[crc32(key.encode()) & 1023]


@dataclass(frozen=True, slots=True)
class Contextual:
    """The caller knows the home and passes it: `home=` on the session or the call."""

    name: ClassVar[str] = "contextual"


@dataclass(frozen=True, slots=True)
class Directory:
    """Homes are looked up in a store: one row a key, versioned, changed by compare-and-set, cached.

    Attributes:
        store: name of an SQL, MongoDB or Cassandra store of the topology that keeps the rows; None: the control store.
        max_age: seconds for which a cached row is used without a question. A home changes rarely, and a write to the old
            home is refused there once moving is fenced; 60 keeps the look-ups of a hot key at one a minute.
        max_entries: keys remembered per process; the least recently used go first. 100,000 are about 30 MB.
        copy: folder for the last good copy, so that a process that starts while the directory is down knows the keys it
            knew; None: no copy.

    Raises:
        ConfigurationError: a bound that is not usable.
    """

    name: ClassVar[str] = "directory"

    store: str | None = None
    max_age: float = 60.0
    max_entries: int = 100_000
    copy: str | None = None

    def __post_init__(self) -> None:
        if (
            isinstance(self.max_age, bool)
            or not isinstance(self.max_age, int | float)
            or not 0 < self.max_age <= 86_400
        ):
            raise ConfigurationError(
                f"max_age of {shown(self.max_age)} is not usable.", fix="give seconds, up to a day."
            )
        entries = self.max_entries
        if isinstance(entries, bool) or not isinstance(entries, int) or not 1 <= entries <= 10_000_000:
            raise ConfigurationError(
                f"max_entries of {shown(entries)} is not usable.", fix="give a whole number from 1."
            )


HOMES: Mapping[str, type[Any]] = MappingProxyType(
    {"intrinsic": Intrinsic, "hashed": Hashed, "contextual": Contextual, "directory": Directory}
)
"""Every home function of this version, by its name in TOML."""


def home(spec: str | Mapping[str, Any]) -> Home:
    """The home function that TOML describes: a name, or a table with `name` and its own keys.

    Raises:
        ConfigurationError: an unknown name or key.
    """
    made: Home = named("home", spec, HOMES)
    return made


def slot(key: str) -> int:
    """The slot of `key` in `Hashed`: the lowest ten bits of crc32 over its UTF-8 form."""
    return crc32(key.encode()) & (SLOTS - 1)


def check_key(key: object) -> str:
    """`key` when it can be one.

    Raises:
        ConfigurationError: no text, empty, too long, with a NUL, or with half of a surrogate pair.
    """
    if isinstance(key, str) and 0 < len(key) <= LONGEST_KEY and is_storable(key):
        return key
    raise ConfigurationError(
        f"key {shown(key)} is not usable.",
        why=f"a key is a text of 1 to {LONGEST_KEY} characters, without NUL or half of a surrogate pair.",
        fix="pass a text that identifies the data's owner, such as a tenant's id.",
    )
