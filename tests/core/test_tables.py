"""What regionkit keeps beside the data: whole names, what makes a table, and versions that are never changed in silence."""

from __future__ import annotations

import pytest

from regionkit.contract.kept_tables import KEPT
from regionkit.core import tables
from regionkit.core.tables import Table, check_versions, table_name
from regionkit.errors import ConfigurationError

OUTBOX = Table("messaging", "outbox", 2, {"sql": "regionkit.core.tables:table_name"})
HISTORY = Table("routing", "history")


def test_a_table_stands_under_its_namespace() -> None:
    """So that two applications share a database."""
    assert table_name("shop", OUTBOX.name) == "shop_rk_outbox"
    assert table_name("shop", "history") != table_name("shop2", "history")


def test_what_makes_a_table_is_found_by_family() -> None:
    """A family that is left out has nothing to make."""
    assert OUTBOX.definition("sql") is tables.table_name
    assert OUTBOX.definition("mongo") is None
    assert HISTORY.definition("sql") is None


def test_only_what_is_missing_is_to_be_made() -> None:
    """In the order asked for; what stands there in its version is left alone."""
    assert check_versions("shop", [OUTBOX, HISTORY], {}) == [OUTBOX, HISTORY]
    assert check_versions("shop", [OUTBOX, HISTORY], {"outbox": 2}) == [HISTORY]
    assert check_versions("shop", [OUTBOX, HISTORY], {"outbox": 2, "history": 1, "other": 9}) == []


@pytest.mark.parametrize(
    ("found", "why", "fix"),
    [(1, "an older regionkit made it", "from version 1 to 2"), (3, "a newer regionkit changed it", "update this")],
)
def test_another_version_is_an_error_that_says_which_way(found: int, why: str, fix: str) -> None:
    """Older: the migration is named. Newer: this regionkit is too old. It is told also where other tables are missing."""
    with pytest.raises(ConfigurationError, match=f"shop_rk_outbox is of version {found}") as caught:
        check_versions("shop", [HISTORY, OUTBOX], {"outbox": found})
    assert why in caught.value.why
    assert fix in caught.value.fix


def test_what_routing_keeps_has_a_definition_in_each_family_that_makes_it() -> None:
    """A name that leads nowhere would be found by the first user of that server."""
    for table in KEPT:
        for family in table.definitions:
            assert table.definition(family) is not None
    assert Table("x", "y").definition("sql") is None
