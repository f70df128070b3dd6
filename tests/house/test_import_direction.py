"""Who may import whom. Parsed from the source, so an import inside a function counts too; TYPE_CHECKING ones do not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[2] / "regionkit"
DRIVERS = frozenset(
    {"psycopg", "pymysql", "aiomysql", "aiosqlite", "redis", "sqlalchemy", "pymongo", "bson", "cassandra"}
)
MAY_IMPORT_DRIVERS = ("regionkit.backends", "regionkit.testing", "regionkit.embedded")
APPLICATIONS = ("regionkit.demo",)  # has models of its own, like any user of the library: SQLAlchemy, and no driver
SHELLS = frozenset(
    {
        "blocks",
        "connect",
        "session",
        "execute",
        "monitor",
        "store",
        "memory",
        "partitions",
        "directory",
        "fanout",
        "stores",
    }
)

# a module may import those of its own group and of groups further up this list
GROUPS = (
    "errors",
    "core",
    "topology",
    "pure routing",
    "backend values",
    "backend contract",
    "backends and routing shells",
    "kit",
    "public names",
    "embedded, web, testing",
    "cli, demo",
)


class Import(NamedTuple):
    module: str
    imported: str
    line: int
    in_function: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.imported}"


def group(module: str) -> int:
    first, _, rest = module.removeprefix("regionkit").lstrip(".").partition(".")
    name = first.removesuffix("_async")
    if name in ("errors", "core", "topology"):
        found = name
    elif name in ("kit", "kit_care", "kit_stores"):
        found = "kit"
    elif name == "routing":
        found = "backends and routing shells" if rest.removesuffix("_async") in SHELLS else "pure routing"
    elif name == "backends":
        found = {
            "values": "backend values",
            "place": "backend values",
            "base": "backend contract",
            "base_async": "backend contract",
        }.get(rest, "backends and routing shells")
    elif name in ("embedded", "web", "testing"):
        found = "embedded, web, testing"
    elif name in ("cli", "demo", "__main__"):
        found = "cli, demo"
    elif name == "":
        found = "public names"
    else:
        raise AssertionError(f"{module} has no place in the house: give it one here and in docs")
    return GROUPS.index(found)


def room(module: str) -> str:
    return ".".join(module.split(".")[:2]).removesuffix("_async")


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def imports(path: Path) -> Iterator[Import]:
    module = module_of(path)

    def walk(node: ast.AST, in_function: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(module, alias.name, child.lineno, in_function)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{module}:{child.lineno}: imports are absolute here"
                for alias in child.names:
                    inner = f"{child.module}.{alias.name}"
                    name = inner if is_module(inner) else str(child.module)
                    yield Import(module, name, child.lineno, in_function)
            else:
                function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from walk(child, in_function or function)

    yield from walk(ast.parse(path.read_text()), False)


def all_imports() -> list[Import]:
    return [found for path in sorted(PACKAGE.rglob("*.py")) for found in imports(path)]


def allowed(found: Import) -> bool:
    if group(found.imported) > group(found.module):
        return False
    target, here = found.imported, found.module
    is_backend = target.startswith("regionkit.backends.") and group(target) == GROUPS.index(
        "backends and routing shells"
    )
    if here.startswith("regionkit.routing") and is_backend:
        return False  # shells know the contract only
    if here.startswith("regionkit.backends") and target.startswith("regionkit.routing"):
        return GROUPS[group(target)] == "pure routing"
    if room(here) == "regionkit.kit" and is_backend:
        return found.in_function  # so that no driver is loaded before a store needs it
    if GROUPS[group(here)] == "embedded, web, testing" and group(target) == group(here):
        return room(here) == room(target)
    return True


def test_imports_go_up_the_list_of_rooms() -> None:
    """No module imports one that stands above it in the house."""
    wrong = [str(i) for i in all_imports() if i.imported.partition(".")[0] == "regionkit" and not allowed(i)]
    assert wrong == []


def test_drivers_stay_below_backends() -> None:
    """A driver's name appears in backends, in the testing kit and in embedded regions; SQLAlchemy's in the demo too."""
    wrong = [
        str(i)
        for i in all_imports()
        if (driver := i.imported.partition(".")[0]) in DRIVERS
        and not i.module.startswith(MAY_IMPORT_DRIVERS)
        and not (driver == "sqlalchemy" and i.module.startswith(APPLICATIONS))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "imported", "in_function", "fine"),
    [
        ("regionkit.core.clock", "regionkit.topology", False, False),
        ("regionkit.routing.decision", "regionkit.backends.values", False, False),
        ("regionkit.routing.blocks_async", "regionkit.backends.base_async", False, True),
        ("regionkit.routing.blocks", "regionkit.backends.sql.engine", True, False),
        ("regionkit.backends.sql.engine", "regionkit.routing.session", False, False),
        ("regionkit.kit", "regionkit.backends.sql.engine", False, False),
        ("regionkit.kit", "regionkit.backends.sql.engine", True, True),
        ("regionkit.routing.monitor", "regionkit.embedded", True, False),
        ("regionkit.cli.main", "regionkit.embedded", False, True),
    ],
)
def test_the_rule_itself(module: str, imported: str, in_function: bool, fine: bool) -> None:
    """The rule refuses what it is there to refuse."""
    assert allowed(Import(module, imported, 1, in_function)) is fine
