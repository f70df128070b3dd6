"""Which tests run over MySQL in asyncio only, and over MariaDB in threads only: pairwise, as the whole would cost too much time.

MySQL and MariaDB share drivers, dialects and connections; what is each one's own (questions, positions, errors, accounts) is
shown in both worlds by the contracts that are not listed here, and by the faults. What is listed shows the
shared code. `REGIONKIT_MYSQL=whole` runs all.
"""

from __future__ import annotations

import os

import pytest

WHOLE = os.environ.get("REGIONKIT_MYSQL") == "whole"
PAIRWISE = {  # modules of tests: in threads MySQL is left out, in asyncio MariaDB
    *(
        "test_branch",
        "test_checkout",
        "test_first_connection",
        "test_many_rows",
        "test_message",
        "test_own_engine",
        "test_own_limits",
        "test_partitioning",
    ),
    *(
        "test_pool",
        "test_raw_cursor",
        "test_records",
        "test_streaming",
        "test_unit_ends",
        "test_units",
        "test_sql_contract",
    ),
    *("test_sources", "test_inboxes", "test_claims", "test_write_back", "test_write_through", "test_promise"),
    *("test_back_faults", "test_log_mode", "test_track_sql", "test_events"),
    *("test_participants", "test_xa_participant", "test_sql_log", "test_logs"),
    *("test_unsent", "test_url_parameters", "test_block_settings", "test_lost_connections", "test_replace"),
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if WHOLE:
        return
    left_out = [item for item in items if _is_left_out(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not _is_left_out(item)]


def _is_left_out(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    words = [] if call is None else [value for value in call.params.values() if isinstance(value, str)]
    if (cls := getattr(item, "cls", None)) is not None:  # `TestMysql`
        words.append(cls.__name__.removeprefix("Test").lower())
    servers, module = {word.partition("-")[0] for word in words}, item.path.stem
    if "mysql" in servers:
        return module in PAIRWISE
    return "mariadb" in servers and module.endswith("_async") and module.removesuffix("_async") in PAIRWISE
