"""Who may import whom. Parsed from the source: an import inside a function counts, and so does one for type checking."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest
from parsed import PACKAGE, parsed

DRIVERS = frozenset(
    {"psycopg", "pymysql", "aiomysql", "aiosqlite", "redis", "sqlalchemy", "pymongo", "bson", "cassandra"}
)
MAY_IMPORT_DRIVERS = ("regionkit.backends", "regionkit.testing", "regionkit.embedded")
NAMED_FOR_A_FAMILY = re.compile(
    r"regionkit\.(?:caching|messaging|transactions)\.(?:\w+\.)*(?:\w+_)?(?:sql|redis|mongo|cassandra|shared|memcached)(?:_async)?"
    r"|regionkit\.transactions\.participants\.(?:postgres|mariadb|mysql|sqlite)(?:_async)?"
)
"""Modules of a pillar that may import the family's public library: they are opened by name."""
PUBLIC_LIBRARIES = frozenset({"sqlalchemy", "redis", "pymongo", "bson", "cassandra"})
APPLICATIONS = ("regionkit.demo",)
"""It has models of its own, like any user of the library: SQLAlchemy, and no driver."""

# from the ground up; rooms on one floor are siblings: none imports another
FLOORS = (
    ("errors",),
    ("core",),
    ("topology",),
    ("facts",),
    ("contract",),
    ("routing", "backends", "caching", "messaging", "transactions"),
    ("kit",),
    ("public names", "events"),
    ("embedded", "web", "testing"),
    ("cli", "demo"),
)
KIT = frozenset({"kit", "kit_caches", "kit_homes", "kit_replace", "kit_stores", "kit_telemetry", "operations"})
OPENS_BY_NAME = "regionkit.backends.factory"
"""All that the kit sees of the backends: it imports one when a store needs it."""
# demo and cli tell one story; the demo's command is one of the command line's
NEIGHBOURS = frozenset({("cli", "demo"), ("demo", "embedded"), ("embedded", "testing")})


class Import(NamedTuple):
    module: str
    imported: str
    line: int = 1
    typing: bool = False
    in_function: bool = False

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.imported}"


def room(module: str) -> str:
    first = module.removeprefix("regionkit").lstrip(".").partition(".")[0].removesuffix("_async")
    if first in ("", "__main__"):
        return "public names"
    return "kit" if first in KIT else first


def floor(module: str) -> int:
    name = room(module)
    for number, rooms in enumerate(FLOORS):
        if name in rooms:
            return number
    raise AssertionError(f"{module} has no room in the house: give it one here and in CONTRIBUTING.md")


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def imports(path: Path, tree: ast.Module) -> Iterator[Import]:
    module = module_of(path)

    def walk(node: ast.AST, typing: bool, in_function: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                yield from walk(child, True, in_function)
            elif isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(module, alias.name, child.lineno, typing, in_function)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{module}:{child.lineno}: imports are absolute here"
                for alias in child.names:
                    inner = f"{child.module}.{alias.name}"
                    name = inner if is_module(inner) else str(child.module)
                    yield Import(module, name, child.lineno, typing, in_function)
            else:
                function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from walk(child, typing, in_function or function)

    yield from walk(tree, False, False)


@cache
def all_imports() -> tuple[Import, ...]:
    return tuple(found for path, _, tree in parsed() for found in imports(path, tree))


def ours() -> list[Import]:
    return [i for i in all_imports() if i.imported.partition(".")[0] == "regionkit"]


def allowed(found: Import) -> bool:
    here, there = room(found.module), room(found.imported)
    if here == there:
        return True
    if here == "kit" and there == "backends":
        return found.imported.removesuffix("_async") == OPENS_BY_NAME
    if (here, there) in NEIGHBOURS:
        return True
    return floor(found.imported) < floor(found.module)


def test_imports_go_down_the_floors_of_the_house() -> None:
    """No module imports one of a room above its own or beside it, for type checking neither."""
    assert [str(i) for i in ours() if not allowed(i)] == []


def test_no_rooms_import_each_other() -> None:
    """Rooms are in an order, whatever the floors say: no circle, imports for type checking counted."""
    graph: dict[str, set[str]] = {}
    for i in ours():
        if room(i.module) != room(i.imported):
            graph.setdefault(room(i.module), set()).add(room(i.imported))
    TopologicalSorter(graph).prepare()


def test_no_modules_import_each_other_when_they_are_loaded() -> None:
    """Inside a room too: only types may go in circles."""
    graph: dict[str, set[str]] = {}
    for i in ours():
        if not i.typing and not i.in_function:
            graph.setdefault(i.module, set()).add(i.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_drivers_stay_in_backends() -> None:
    """A driver is loaded by backends, the testing kit and embedded regions only; SQLAlchemy by the demo too."""
    wrong = [
        str(i)
        for i in all_imports()
        if (driver := i.imported.partition(".")[0]) in DRIVERS
        and not i.typing
        and not i.module.startswith(MAY_IMPORT_DRIVERS)
        and not (driver == "sqlalchemy" and i.module.startswith(APPLICATIONS))
        and not (driver in PUBLIC_LIBRARIES and NAMED_FOR_A_FAMILY.fullmatch(i.module))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "imported", "fine"),
    [
        ("regionkit.core.clock", "regionkit.topology", False),
        ("regionkit.facts.bookmark", "regionkit.routing.decision", False),
        ("regionkit.facts.position", "regionkit.facts.quorum", True),
        ("regionkit.contract.endpoint", "regionkit.facts.request", True),
        ("regionkit.routing.blocks_async", "regionkit.contract.endpoint_async", True),
        ("regionkit.routing.blocks", "regionkit.backends.sql.endpoint", False),
        ("regionkit.backends.sql.endpoint", "regionkit.routing.session", False),
        ("regionkit.messaging.outbox", "regionkit.routing.store", False),
        ("regionkit.messaging.outbox", "regionkit.contract.endpoint", True),
        ("regionkit.kit", "regionkit.backends.sql.endpoint", False),
        ("regionkit.kit_stores_async", "regionkit.backends.factory_async", True),
        ("regionkit.routing.monitor", "regionkit.embedded", False),
        ("regionkit.cli.command", "regionkit.embedded", True),
        ("regionkit.topology.stores", "regionkit.backends.cassandra.client", False),
    ],
)
def test_the_rule_itself(module: str, imported: str, fine: bool) -> None:
    """The rule refuses what it is there to refuse, for types too."""
    assert allowed(Import(module, imported)) is fine
    assert allowed(Import(module, imported, typing=True)) is fine


def test_a_room_that_is_not_drawn_is_refused() -> None:
    """Whoever adds a room says where it stands."""
    with pytest.raises(AssertionError, match="no room in the house"):
        floor("regionkit.attic.boxes")
