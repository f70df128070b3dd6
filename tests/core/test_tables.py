"""Tables by name and version: what is missing is made, what is of another version is an error that says what to do."""

from __future__ import annotations

import pytest

from regionkit import ConfigurationError
from regionkit.contract.kept_tables import KEPT
from regionkit.core.tables import Table, check_versions, table_name

INBOX = Table("messaging", "inbox", 2)


def test_missing_tables_are_named_and_present_ones_left() -> None:
    """In the order asked for."""
    others = Table("messaging", "outbox")
    assert check_versions("shop", [INBOX, others], {"inbox": 2}) == [others]
    assert check_versions("shop", [INBOX, others], {}) == [INBOX, others]
    assert table_name("shop", "inbox") == "shop_rk_inbox"


@pytest.mark.parametrize(("found", "word"), [(1, "run the migration of messaging from version 1 to 2"), (3, "update")])
def test_another_version_is_an_error_that_says_what_to_do(found: int, word: str) -> None:
    """An older one names the migration, a newer one the update."""
    with pytest.raises(ConfigurationError, match="shop_rk_inbox") as caught:
        check_versions("shop", [INBOX], {"inbox": found})
    assert word in caught.value.fix


def test_what_routing_keeps_has_a_definition_in_each_family_that_makes_it() -> None:
    """A name that leads nowhere would be found by the first user of that server."""
    for table in KEPT:
        for family in table.definitions:
            assert table.definition(family) is not None
    assert Table("x", "y").definition("sql") is None
