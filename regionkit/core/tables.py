"""What regionkit keeps beside the data: each pillar declares its tables by name and version, and how each family makes them.

1. A table stands under `<namespace>_rk_<name>`. Its version is one row of `<namespace>_rk_tables`; those of today are version 1.
2. Whoever makes tables holds one lock meanwhile, so that many processes may do it at once.
3. A table of another version than this regionkit's is an error that names the migration; it is never changed in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from regionkit.errors import ConfigurationError

__all__ = ["TABLES", "Table", "check_versions", "table_name"]

TABLES = "tables"
"""Name of the table of tables."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table (collection, set of keys) of a pillar.

    Attributes:
        pillar: "routing", "messaging", ...
        name: `[a-z_]+`, unique among all pillars.
        version: of its shape, from 1.
        definitions: by family ("sql", "mongo", "cassandra"), "module:name" of what makes it there; a family that is left out
            has nothing to make. SQL: a function of MetaData and the table's whole name. Cassandra: CQL with {} for the name.
            MongoDB: a tuple of (field, options) for its indexes.
    """

    pillar: str
    name: str
    version: int = 1
    definitions: Mapping[str, str] = field(default_factory=dict)

    def definition(self, family: str) -> Any:
        """What makes the table in a family; None where there is nothing to make."""
        named = self.definitions.get(family)
        if named is None:
            return None
        module, _, name = named.partition(":")
        return getattr(import_module(module), name)


def table_name(namespace: str, name: str) -> str:
    """The whole name of a table of regionkit's."""
    return f"{namespace}_rk_{name}"


def check_versions(namespace: str, wanted: Iterable[Table], found: Mapping[str, int]) -> list[Table]:
    """The tables that are not there yet.

    Raises:
        ConfigurationError: one stands there in another version.
    """
    missing = []
    for table in wanted:
        version = found.get(table.name)
        if version is None:
            missing.append(table)
        elif version != table.version:
            newer = version > table.version
            raise ConfigurationError(
                f"table {table_name(namespace, table.name)} is of version {version}, and this regionkit needs {table.version}.",
                why="a newer regionkit changed it." if newer else "an older regionkit made it.",
                fix="update this application's regionkit."
                if newer
                else f"run the migration of {table.pillar} from version {version} to {table.version}; see the changelog.",
            )
    return missing
