"""The tables of the file describe themselves: the reference page is made from them."""

from __future__ import annotations

from typing import get_args, get_type_hints

import msgspec
import pytest

from regionkit.topology import toml_tables

TABLES = [getattr(toml_tables, name) for name in toml_tables.__all__]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_key_says_what_it_is(table: type[msgspec.Struct]) -> None:
    """A key without a description would have an empty row on the page."""
    hints = get_type_hints(table, include_extras=True)
    said = {name: get_args(hints[name])[1].description for name in table.__struct_fields__}
    assert all(said.values())
    assert table.__doc__


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_a_key_that_is_not_there_is_refused(table: type[msgspec.Struct]) -> None:
    """A misspelt key is never passed over."""
    with pytest.raises(msgspec.ValidationError, match="unknown field `regoin`"):
        msgspec.convert({"regoin": 1}, table)
