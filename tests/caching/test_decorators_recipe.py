"""The recipe for a `select` in the decorators' docstring, run as it stands."""

from __future__ import annotations

import doctest

import msgspec
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, select
from sqlalchemy.pool import StaticPool

from regionkit.caching import Lazy, cached, decorators


def test_the_recipe_for_a_select_gives_what_it_says() -> None:
    """On SQLite."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    columns = (Column("id", Integer, primary_key=True), Column("customer", Integer), Column("item", String(20)))
    orders = Table("orders", MetaData(), *columns)
    orders.metadata.create_all(engine)
    with engine.begin() as db:
        db.execute(orders.insert().values(id=1, customer=7, item="tea"))
    known = {"engine": engine, "orders": orders, "select": select, "msgspec": msgspec, "cached": cached, "Lazy": Lazy}
    found = doctest.testmod(decorators, globs=known | {"__name__": __name__}, optionflags=doctest.ELLIPSIS)
    engine.dispose()
    assert found.attempted >= 6
    assert found.failed == 0
