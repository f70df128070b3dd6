"""The reference pages say what the code says."""

from __future__ import annotations

import re
from dataclasses import asdict, fields
from importlib import import_module
from pathlib import Path

import pytest

from regionkit.backends.sql.mariadb_server import MariaServer
from regionkit.backends.sql.postgres_server import PostgresServer
from regionkit.backends.sql.sqlite_server import SqliteServer
from regionkit.backends.values import Capabilities
from regionkit.core.retry import RetryBudget, RetryPolicy
from regionkit.topology import PROFILES, Profile, SqlOptions

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
SERVERS = (PostgresServer, MariaServer, SqliteServer)


def matrix() -> str:
    """The capabilities of every server, as the page shows them."""
    names = [field.name for field in fields(Capabilities) if field.name not in ("server", "notes")]
    lines = ["| Server | " + " | ".join(f"`{name}`" for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    for server in SERVERS:
        values = asdict(server.capabilities)
        shown = ["yes" if values[n] is True else "no" if values[n] is False else values[n] for n in names]
        lines.append(f"| {server.capabilities.server} | " + " | ".join(shown) + " |")
    for server in SERVERS:
        lines += ["", f"Limits of {server.capabilities.server}:", ""]
        lines += [f"- {note}" for note in server.capabilities.notes]
    return "\n".join(lines)


def test_the_support_matrix_is_what_the_backends_declare() -> None:
    """Print `matrix()` into the page when a capability changed."""
    text = (REFERENCE / "support-matrix.md").read_text()
    assert text.partition("<!-- capabilities -->")[2].partition("<!-- end -->")[0].strip() == matrix()


def rows(page: str, pattern: str) -> list[tuple[str, ...]]:
    return re.findall(pattern, (REFERENCE / page).read_text(), re.MULTILINE)


def test_the_profiles_are_those_of_the_code() -> None:
    """Every field of every profile, with its value."""
    shown = {
        name: tuple(float(v) for v in values)
        for name, *values in rows("limits.md", r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|")
    }
    names = ("gentle", "balanced", "aggressive")
    assert shown == {f.name: tuple(getattr(PROFILES[n], f.name) for n in names) for f in fields(Profile)}


@pytest.mark.parametrize(("path", "value"), rows("limits.md", r"^\| `(regionkit[\w.]+)` \| ([\d.]+) \|"))
def test_a_bound_is_that_of_the_code(path: str, value: str) -> None:
    """The bound has the value that the page gives."""
    module, _, name = path.rpartition(".")
    assert getattr(import_module(module), name) == float(value)


def test_the_numbers_in_the_text_are_those_of_the_code() -> None:
    """Retries and pools, which the page tells in words."""
    policy, budget = RetryPolicy(), RetryBudget()
    assert (policy.attempts, policy.base, policy.cap) == (3, 0.05, 2.0)
    spent = 0
    while budget.spend():
        spent += 1
    assert spent == 50
    assert (SqlOptions().pool_size, SqlOptions().max_overflow) == (10, 10)
