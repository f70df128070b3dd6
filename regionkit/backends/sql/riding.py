"""The first statement of a transaction on PostgreSQL: BEGIN rides along with it, in one message and one wait.

psycopg would send BEGIN alone and wait for its answer. Its own pipelines spare that, at the price of three waits and much Python
for their beginning and their end; that is worth it across a distance only. Here one generator queues what the cursor sends, sends
all of it with a Sync, and reads all answers: it costs less than a round trip on one machine.

1. Nothing is sent before all of it is known: what the driver refuses to convert was not sent.
2. All answers are read, whatever they say, and the pipeline mode is left. A connection that cannot leave it is closed.
3. The transaction that BEGIN opened stands, also where the statement failed.

Source: PostgreSQL manual, "libpq", "Pipeline Mode"; "Frontend/Backend Protocol", "Pipelining".
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import psycopg
from psycopg import errors, generators
from psycopg.pq import ConnStatus, ExecStatus

__all__ = ["CAN_RIDE", "ride"]

CAN_RIDE = psycopg.Pipeline.is_supported()
"""libpq has a pipeline mode from 14 on."""
_Base: Any = psycopg.Pipeline.__base__
"""What psycopg's two pipelines share; each of its versions keeps that in another module."""


class _Queue(_Base):  # type: ignore[misc]  # found at run time
    """What a cursor of psycopg's takes for a pipeline: it queues commands and whose answers they have, and sends nothing."""

    def _communicate_gen(self) -> Generator[Any, Any, None]:
        return
        yield


def ride(driver: Any, cursor: Any, statement: Any, parameters: Any) -> Generator[Any, Any, None]:
    """BEGIN and one statement of `cursor`; for the connection's `wait`, with its lock held.

    Raises:
        psycopg.Error: the server's, or the loss of the connection.
    """
    driver._check_connection_ok()
    pgconn = driver.pgconn
    queue = driver._pipeline = _Queue(driver)
    pgconn.enter_pipeline_mode()
    try:
        yield from cursor._execute_gen(statement, parameters)
        queue._enqueue_sync()
        if driver.deadline is not None:
            # converting the parameters took its time, and not the server's
            driver.had = max(0.0, driver.deadline.remaining())
        try:
            for command in queue.command_queue:
                command()
        except psycopg.Error:  # libpq refused to send it: BEGIN is on its way
            yield from _drained(pgconn)
            raise
        yield from generators.send(pgconn)
        yield from queue._fetch_gen(flush=False)
    finally:
        driver._pipeline = None
        _leave(pgconn)


def _drained(pgconn: Any) -> Generator[Any, Any, None]:
    pgconn.pipeline_sync()
    yield from generators.send(pgconn)
    while True:
        results = yield from generators.fetch_many(pgconn)
        if results and results[-1].status == ExecStatus.PIPELINE_SYNC:
            return


def _leave(pgconn: Any) -> None:
    if pgconn.status != ConnStatus.OK:
        return
    try:
        pgconn.exit_pipeline_mode()
    except errors.OperationalError:  # answers are still to come: the wait was cut short
        pgconn.finish()
