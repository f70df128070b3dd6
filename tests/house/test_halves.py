"""What a pair of twins divides between its halves is run in one of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from fix_halves import HALVES
from fix_mysql import PAIRWISE

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("module", HALVES)
def test_no_store_is_left_out_of_both_halves(module: str) -> None:
    """Both halves are there, and a store is left out of one of them at most; MySQL and MariaDB by `fix_mysql`, too."""
    half = HALVES[module]
    assert all((TESTS / f"{module}{end}.py").is_file() for end in ("", "_async"))
    in_asyncio, in_threads = set(half.in_asyncio), set(half.in_threads)
    if module.rpartition("/")[2] in PAIRWISE:
        in_asyncio, in_threads = in_asyncio | {"mysql"}, in_threads | {"mariadb"}
    assert not in_asyncio & in_threads
    assert in_asyncio | in_threads
