"""A pooled connection on which the server spoke unasked is not used again: what it said may be its goodbye."""

from __future__ import annotations

import select
from typing import Any

import psycopg

from regionkit.backends.sql.postgres_server import PostgresServer


def test_a_message_without_an_end_is_enough(pg: Any) -> None:
    """A server that dies sends its last message some time before the connection ends; a notification looks the same."""
    server = PostgresServer.__new__(PostgresServer)  # it looks at the connection alone
    address = pg.primary.url.replace("postgresql+psycopg:", "postgresql:")
    with psycopg.connect(address, autocommit=True) as idle, psycopg.connect(address, autocommit=True) as other:
        idle.execute("LISTEN goodbye")
        assert server.alive(idle)
        other.execute("NOTIFY goodbye")
        poll = select.poll()
        poll.register(idle.fileno(), select.POLLIN)
        assert poll.poll(5000)
        assert not server.alive(idle)
    assert not server.alive(idle)
