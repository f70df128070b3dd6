"""Which stores a pair of twins divides between its halves: some run in threads only, others in asyncio only.

The generated half of a pair sends the same statements through other drivers. What the drivers do is shown over every store in
both worlds by the contracts of stores, by the backends' own tests, and by the faults. The pairs here are above that: each of
their tests meets every store in one world at least. `REGIONKIT_TWINS=whole` runs all. `fix_mysql` divides MySQL and MariaDB in
the same way.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import pytest

WHOLE = os.environ.get("REGIONKIT_TWINS") == "whole" or os.environ.get("REGIONKIT_MESSAGING") == "whole"


class Half(NamedTuple):
    """By words of parameters."""

    in_asyncio: tuple[str, ...] = ()
    """What threads leave out."""
    in_threads: tuple[str, ...] = ()
    """What asyncio leaves out."""


HALVES = {  # by folder and module
    "contract/test_partitioning": Half(in_asyncio=("mongo",), in_threads=("postgresql", "redis")),
    "contract/test_units": Half(in_asyncio=("cassandra",), in_threads=("mongo",)),
    "contract/test_records": Half(in_asyncio=("postgresql",)),
    "contract/test_unit_ends": Half(in_threads=("postgresql",)),
    "messaging/test_claims": Half(in_asyncio=("cassandra", "mongo", "postgresql")),
    "messaging/test_claim_inboxes": Half(in_asyncio=("redis",), in_threads=("cassandra",)),
    "messaging/test_inboxes": Half(in_asyncio=("postgresql",), in_threads=("mongo",)),
    "messaging/test_sources": Half(in_asyncio=("postgresql",), in_threads=("redis",)),
    "messaging/test_outside": Half(in_threads=("redis",)),
    "messaging/test_records": Half(in_asyncio=("cassandra",), in_threads=("mongo",)),
    "messaging/test_transaction": Half(in_asyncio=("postgresql",), in_threads=("mariadb",)),
    "messaging/test_batches": Half(in_asyncio=("postgresql", "mariadb")),  # as `fix_threads` has it
    **dict.fromkeys(  # threads have it by `fix_threads`
        (f"messaging/test_{name}" for name in ("consumer", "hospital", "outbox", "relay")),
        Half(in_threads=("mysql",)),
    ),
    "messaging/test_chaos": Half(in_threads=("mysql", "sqlite")),
    "backends/sql/test_block_settings": Half(in_asyncio=("postgresql",)),  # threads have MariaDB, by `fix_mysql`
    "caching/test_write_through": Half(in_asyncio=("postgresql",)),  # threads have MariaDB
    "caching/test_homes_source": Half(in_threads=("postgresql",), in_asyncio=("sqlite",)),
    "caching/test_events": Half(in_asyncio=("postgresql",)),
    **dict.fromkeys(
        (f"caching/back/test_{name}" for name in ("back_faults", "log_mode", "promise", "write_back")),
        Half(in_asyncio=("postgresql",), in_threads=("sqlite",)),
    ),
    "caching/back/test_journaling": Half(in_asyncio=("postgresql",), in_threads=("sqlite",)),
    "caching/back/test_kit_source": Half(in_asyncio=("mongo",), in_threads=("cassandra",)),
    "caching/back/test_sinks": Half(in_asyncio=("mongo",), in_threads=("cassandra",)),
    "caching/back/test_sink_sql": Half(in_asyncio=("postgresql",), in_threads=("mariadb",)),
    "caching/back/test_sink_sql_tables": Half(in_asyncio=("postgresql",), in_threads=("mariadb",)),
    "transactions/test_sql_log": Half(in_threads=("postgresql",)),
    "transactions/test_transactions_sql": Half(in_asyncio=("postgresql, anchor",), in_threads=("postgresql, file",)),
    "transactions/test_transactions_xa": Half(
        in_asyncio=("postgresql and mariadb", "postgresql and mysql"),
        in_threads=(
            "mariadb and mariadb",
            "mariadb beside replicas as the anchor",
            "mariadb twice, one as the anchor",
        ),
    ),
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [] if WHOLE else [item for item in items if _is_left_out(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


def _is_left_out(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    module = item.path.with_suffix("").as_posix().rpartition("/tests/")[2]
    half = HALVES.get(module.removesuffix("_async"))
    if call is None or half is None:
        return False
    words = {value for value in call.params.values() if isinstance(value, str)} | {*call.id.split("-")}
    return not words.isdisjoint(half.in_threads if module.endswith("_async") else half.in_asyncio)
