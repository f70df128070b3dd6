# Generated from tables_async.py by scripts/twins.py. Do not edit.
"""Making regionkit's tables in a keyspace, by one process at a time.

Two nodes that make one table at the same time give it two identities, and what was written under one of them is lost. So who
changes the schema holds a lock: a row of the table of tables, taken by a condition and gone by itself when its holder died.
That table itself is made by whoever needs it, on the same node where they can, and again until the cluster agrees on it.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Sequence

from cassandra import AlreadyExists, InvalidRequest, ReadFailure
from cassandra.protocol import ConfigurationException, ServerError

from regionkit.backends.cassandra.bridge import answered
from regionkit.backends.cassandra.cluster import Opened
from regionkit.backends.cassandra.datacenter import Datacenter
from regionkit.backends.cassandra.schema import LOCK, Statements
from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.core.tables import Table, check_versions, table_name
from regionkit.errors import DeadlineExceeded, RegionKitError, RegionUnavailable

__all__ = ["TableMaker"]

POLL_EVERY = 0.25
"""Seconds between two looks at what another process makes: a table takes one or more."""
LOCK_OUTLASTS = 10
"""Seconds by which the lock outlasts its holder's deadline: a change of the schema that was sent goes on by itself."""
MOST_RACES = 10
"""Attempts to make or to read a table that others make too: each lost one leaves fewer of them."""
_RACES = (ConfigurationException, AlreadyExists, ServerError)
"""What a node says when another one made the same table just now: its identity differs, or it is there after all."""


class TableMaker:
    """Of one endpoint."""

    def __init__(self, datacenter: Datacenter, statements: Statements) -> None:
        self._datacenter = datacenter
        self._statements = statements

    def make(self, deadline: Deadline, tables: Sequence[Table]) -> None:
        """Make those of `tables` that are not there yet."""
        namespace = self._datacenter.context.namespace
        opened = self._datacenter.opened(deadline)
        wanted = [table for table in tables if table.definition("cassandra") is not None]
        us = uuid.uuid4().hex
        while True:
            found, holder = self._found(deadline, opened)
            if not check_versions(namespace, wanted, found):
                return
            if holder in ("", us) and self._take_lock(deadline, us):
                break
            deadline.require("waiting for another process that makes tables")
            sleep(POLL_EVERY)
        try:
            missing = check_versions(namespace, wanted, (self._found(deadline, opened))[0])
            names = [f'"{table_name(namespace, table.name)}"' for table in missing]
            texts = [table.definition("cassandra").format(name) for table, name in zip(missing, names, strict=True)]
            self._define(deadline, opened, texts)
            for table in missing:
                noted = (table.version, table.name, None)
                self._datacenter.run(deadline, self._statements.note, noted, commit="QUORUM")
        finally:
            with contextlib.suppress(RegionKitError):  # no time left: it goes by itself
                self._datacenter.run(deadline, self._statements.drop_lock, (LOCK, us), commit="QUORUM")

    def _found(self, deadline: Deadline, opened: Opened) -> tuple[dict[str, int], str]:
        """Version by table as written down, and who holds the lock. Makes the table that says so where there is none."""
        for attempt in range(MOST_RACES):
            left = deadline.require("looking for regionkit's tables", store=self._datacenter.context.store.name)
            try:
                rows = self._datacenter.send(opened, left, self._statements.versions, level="QUORUM")
                break
            except InvalidRequest:
                self._define(deadline, opened, [self._statements.make_tables])
                return {}, ""
            except Exception as error:
                if not isinstance(error, (ReadFailure, *_RACES)) or attempt == MOST_RACES - 1:
                    raise self._datacenter.translated(error) from error
                sleep(POLL_EVERY)  # one of the nodes does not know yet what another process has just made
        holders = [holder for name, _, holder in rows if name == LOCK and holder]
        return {name: version for name, version, _ in rows if version is not None}, "".join(holders)

    def _take_lock(self, deadline: Deadline, us: str) -> bool:
        """Whether it is ours. Without an answer it may be: the next look finds it out."""
        values = (int(deadline.require("taking the lock")) + LOCK_OUTLASTS, us, LOCK, None)
        try:
            taken, *held = (self._datacenter.run(deadline, self._statements.take_lock, values, commit="QUORUM"))[0]
        except (DeadlineExceeded, RegionUnavailable):
            return False
        return bool(taken) or held == [us]

    def _define(self, deadline: Deadline, opened: Opened, texts: list[str]) -> None:
        """All at once, as each waits a second for the nodes to agree; by one node, which makes one after the other."""
        for attempt in range(MOST_RACES):
            left = deadline.require("making tables", store=self._datacenter.context.store.name)
            own, node = opened.profiles["own"], opened.node()
            try:
                making = [
                    opened.session.execute_async(text, timeout=left, execution_profile=own, host=node) for text in texts
                ]
                for response in making:
                    answered(response)
            except Exception as error:
                if not isinstance(error, _RACES) or attempt == MOST_RACES - 1:
                    raise self._datacenter.translated(error) from error
                sleep(POLL_EVERY)  # the other's table spreads meanwhile
            else:
                return
