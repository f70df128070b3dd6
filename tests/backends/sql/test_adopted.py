"""An application's engine through a pooler: what regionkit sets on its connections would reach others."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy
from fix_pgbouncer import Bouncer

from regionkit import ConfigurationError
from regionkit.contract.backing import backing_of
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline

pytestmark = pytest.mark.postgresql


def test_it_keeps_no_rows(pg: Any, bouncers: tuple[Bouncer, Bouncer]) -> None:
    """Refused at its first connection, before anything is set."""
    engine = sqlalchemy.create_engine(bouncers[0].url_for("shop"))
    backing = backing_of(engine, namespace="shop")
    with pytest.raises(ConfigurationError, match="go through a pooler"):
        with backing.write(deadline=Deadline(SYSTEM_CLOCK, 20.0)) as u:
            u.native.execute(sqlalchemy.text("SELECT 1"))
    backing.close()
    engine.dispose()


def test_what_the_application_had_prepared_keeps_its_name(pg: Any) -> None:
    """psycopg numbers prepared statements; ours would give a name again that stands at the server already."""
    engine = sqlalchemy.create_engine(pg.primary.url_for(pg.database()))
    question, given = sqlalchemy.text("SELECT :n + 1"), [{"n": n} for n in range(10)]
    backing = backing_of(engine, namespace="shop")
    backing.create_tables([], Deadline(SYSTEM_CLOCK, 20.0))
    with engine.begin() as connection:
        for parameters in given:
            connection.execute(question, parameters)
    for parameters in given:
        for unit in (
            backing.write(deadline=Deadline(SYSTEM_CLOCK, 20.0)),
            backing.read(deadline=Deadline(SYSTEM_CLOCK, 20.0)),
        ):
            with unit as u:
                assert u.native.execute(question, parameters).scalar() == parameters["n"] + 1
    backing.close()
    engine.dispose()
