# Generated from fix_messages_async.py by scripts/twins.py. Do not edit.
"""A checkout of a write connection, and messages on it."""

from __future__ import annotations

from typing import Any

from fix_rigs import NAMESPACE

from regionkit import Endpoint, Region, RegionKit, Role, SqlStore, Topology
from regionkit.backends.sql.bridge import drive
from regionkit.backends.sql.message import message
from regionkit.contract.message import Answer, Statement
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.facts.request import Kind

__all__ = ["HERE", "Opened", "finish", "insert", "sent"]

HERE = "us-east-1"


def insert(number: int, tag: str = "") -> Statement:
    """One more order."""
    return Statement(f"INSERT INTO orders (id, item) VALUES ({number}, 'tea')", tag)


class Opened:
    """A checkout of a write connection, its deadline in so many seconds."""

    def __init__(self, url: str, seconds: float = 30.0) -> None:
        store = SqlStore("orders", endpoints=[Endpoint(HERE, Role.PRIMARY, url)])
        self.kit = RegionKit(Topology(namespace=NAMESPACE, regions=[Region(HERE)], stores=[store]), local=HERE)
        self.seconds = seconds
        self.checkout: Any = None

    def __enter__(self) -> Any:
        self.kit.__enter__()
        self.kit.create_tables()
        backend: Any = self.kit._store("orders").backends[0]
        self.checkout = backend.check_out(Kind.WRITE, Deadline(SYSTEM_CLOCK, self.seconds), 5.0)
        return self.checkout

    def __exit__(self, *args: Any) -> None:
        self.checkout.release()
        self.kit.__exit__(*args)


def sent(checkout: Any, *statements: Statement) -> list[Answer]:
    """Send them in one message."""
    answers: list[Answer] = drive(message, checkout.connection, statements)
    return answers


def finish(checkout: Any, how: str = "commit") -> None:
    """End the transaction."""
    checkout.driver.finishing = True
    drive(getattr(checkout.connection, how))
