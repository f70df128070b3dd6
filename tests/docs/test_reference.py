"""The reference pages say what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

from regionkit.core.retry import RetryBudget, RetryPolicy
from regionkit.topology import PROFILES, Profile, SqlOptions

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


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


def test_the_page_of_the_file_is_made_from_its_types() -> None:
    """`python scripts/toml_reference.py` writes it."""
    subprocess.run([sys.executable, REFERENCE.parents[1] / "scripts/toml_reference.py", "--check"], check=True)
