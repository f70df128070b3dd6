"""What `__all__` names exists and is documented, methods included."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PACKAGE = Path(__file__).parents[2] / "regionkit"
HOMES_OF_PROTOCOLS = (
    *(f"regionkit.contract.{path.stem}" for path in sorted((PACKAGE / "contract").glob("[a-z]*.py"))),
    *("regionkit.topology.cassandra_client", "regionkit.topology.cassandra_client_async"),
    "regionkit.backends.sql.server",
)


def modules() -> list[str]:
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if "__all__" in path.read_text():
            names.append(name)
    return names


def documented_by_a_protocol() -> set[str]:
    """Names of methods that a contract describes: what implements it need not say it again."""
    names: set[str] = set()
    for home in HOMES_OF_PROTOCOLS:
        for value in vars(importlib.import_module(home)).values():
            if getattr(value, "_is_protocol", False) and value.__module__ == home:
                names |= {name for name, method in vars(value).items() if getattr(method, "__doc__", None)}
    return names


def undocumented(module: ModuleType, name: str, contract: set[str]) -> list[str]:
    value: Any = getattr(module, name)
    if not (inspect.isclass(value) or inspect.isfunction(value)) or not value.__module__.startswith("regionkit"):
        return []
    wrong = [] if value.__doc__ else [f"{module.__name__}.{name}"]
    if inspect.isclass(value):
        for inner, member in vars(value).items():
            is_method = inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod)
            if inner.startswith("_") or not is_method or inner in contract:
                continue
            if not inspect.getdoc(getattr(value, inner)) and not inspect.getdoc(member):
                wrong.append(f"{module.__name__}.{name}.{inner}")
    return wrong


@pytest.mark.parametrize("name", modules())
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    """Each name in `__all__` is there, is there once, and says what it does."""
    module = importlib.import_module(name)
    names = module.__all__
    assert [n for n in names if not hasattr(module, n)] == []
    assert len(names) == len(set(names))
    contract = documented_by_a_protocol()
    assert [wrong for n in names for wrong in undocumented(module, n, contract)] == []


def test_every_module_opens_with_what_it_is() -> None:
    """A module begins with a docstring; a generated twin has its source's."""
    without = [
        path.relative_to(PACKAGE).as_posix()
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.stat().st_size and not inspect.cleandoc(_opening(path))
    ]
    assert without == []


def _opening(path: Path) -> str:
    import ast

    return ast.get_docstring(ast.parse(path.read_text())) or ""
