"""Write docs/reference/toml.md from the types that read the file.

    python scripts/toml_reference.py [--check]

Under --check a page that says something else is an error, and nothing is written.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from regionkit.topology import PROFILES, Profile, toml_tables
from regionkit.topology.client_options import CassandraOptions, MongoOptions, RedisOptions
from regionkit.topology.options import SessionOptions, SqlOptions

PAGE = Path(__file__).parent.parent / "docs/reference/toml.md"
HEAD = """\
# The file regionkit.toml

Every key, from the code that reads it. A key that is not here is refused, with its path and the nearest name.
`${NAME}` in any text is replaced by that environment variable, and its value is never printed.
[Describe a topology](../how-to/topology.md) explains how to begin; `regionkit init` writes a first version.
"""
TABLES = (
    toml_tables.File,
    toml_tables.RegionTable,
    toml_tables.StoreTable,
    toml_tables.ResidencyTable,
    toml_tables.EndpointTable,
    toml_tables.SqlTable,
    toml_tables.RedisTable,
    toml_tables.MongoTable,
    toml_tables.CassandraTable,
    toml_tables.MemoryTable,
    toml_tables.CacheTable,
    toml_tables.ControlTable,
)
OPTIONS = {
    "`options` of a SQL store": SqlOptions,
    "`session` of a SQL store": SessionOptions,
    "`options` of a Redis store": RedisOptions,
    "`options` of a MongoDB store": MongoOptions,
    "`options` of a Cassandra store": CassandraOptions,
}
KINDS = {str: "text", bool: "true or false", int: "whole number", float: "number", list: "list", dict: "table"}
NONE = type(None)
ATTRIBUTES = re.compile(r"^Attributes:\n(.*?)(?:\n\n|\Z)", re.DOTALL | re.MULTILINE)


def kind(hint: Any) -> str:
    """A type in the words of TOML."""
    base = get_origin(hint) or hint
    if base in KINDS:
        inner = get_args(hint)
        return f"list of {kind(inner[0])}s" if base is list else KINDS[base]
    parts = [a for a in get_args(hint) if a is not NONE]
    return " or ".join(kind(part) for part in parts) if parts else "table"


def value(given: Any) -> str:
    """A default as TOML writes it."""
    if given is None or given in ([], {}):
        return ""
    return f"`{str(given).lower() if isinstance(given, bool) else msgspec.json.encode(given).decode()}`"


def of_table(table: type[msgspec.Struct]) -> Iterator[str]:
    """The rows of a table's keys; those of every store stand under `[stores.NAME]` only."""
    inherited = () if table is toml_tables.StoreTable else toml_tables.StoreTable.__struct_fields__
    hints = get_type_hints(table, include_extras=True)
    for field in msgspec.structs.fields(table):
        if field.name in inherited and issubclass(table, toml_tables.StoreTable):
            continue
        plain, meta = get_args(hints[field.name])
        default = "required" if field.required else value(None if field.default is msgspec.NODEFAULT else field.default)
        yield f"| `{field.name}` | {kind(plain)} | {default} | {meta.description} |"


def described(owner: type) -> dict[str, str]:
    """What a class's docstring says of its attributes."""
    text = ATTRIBUTES.search(inspect.getdoc(owner) or "")
    assert text is not None, owner
    items = re.findall(r"^    (\w+): (.*(?:\n {6,}.*)*)", text[1], re.MULTILINE)
    return {name: re.sub(r"\s+", " ", said).strip(" .") for name, said in items}


def page() -> str:
    """The whole page."""
    head = "| Key | Type | Default | |\n|---|---|---|---|"
    lines = [HEAD]
    for table in TABLES:
        rows = list(of_table(table))
        if rows:
            lines += [f"## {inspect.getdoc(table)}\n", head, *rows, ""]
    for title, options in OPTIONS.items():
        said, hints = described(options), get_type_hints(options)
        rows = [
            f"| `{f.name}` | {kind(hints[f.name])} | {value(f.default)} | {said[f.name]} |" for f in fields(options)
        ]
        lines += [f"## {title}\n", head, *rows, ""]
    said = described(Profile)
    lines += [
        "## Fields of `profile`\n",
        "| Field | " + " | ".join(PROFILES) + " | |",
        "|---" * (len(PROFILES) + 2) + "|",
    ]
    for field in fields(Profile):
        assert field.default is MISSING
        numbers = " | ".join(f"{getattr(p, field.name):g}" for p in PROFILES.values())
        lines.append(f"| `{field.name}` | {numbers} | {said[field.name]} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Exit code 1 when the page on disk is another one."""
    if "--check" in sys.argv[1:]:
        return int(not PAGE.exists() or PAGE.read_text() != page())
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
