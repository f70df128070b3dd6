"""An inbox on a real asynchronous replica: three of ten commits are lost with the primary, and all ten are delivered again.

A dedup that stands beside the effect says that they are done; the one that stands with it knows better.
"""

from __future__ import annotations

from typing import Any

import pytest
import redis
from sending import Numbering
from sqlalchemy import create_engine, text

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.messaging import Consumer, SqlInbox
from regionkit.messaging.sources import MemoryQueue
from regionkit.testing.servers.nodes import wait_until

pytestmark = pytest.mark.slow
LEDGER = "SELECT k, n FROM ledger ORDER BY n"


def consume(node: Any, messages: list[Any]) -> int:
    """All that is delivered; how many were applied."""
    engine = create_engine(node.app_url)
    queue, inbox = MemoryQueue("orders", group="billing"), SqlInbox(engine)
    consumer = Consumer(queue, inbox=inbox, order="key", concurrency=2)

    @consumer.handler("moved")
    def apply(message: Any, db: Any) -> None:
        db.execute(text("INSERT INTO ledger VALUES (:k, :n)"), message.payload)

    deadline = Deadline(SYSTEM_CLOCK, 30.0)
    queue.open(deadline)
    queue.publish(messages, deadline)
    inbox.create_tables()  # after a promotion: the promoted server counts from here on
    applied = consumer.run(until_idle=0.5).applied
    inbox.close()
    engine.dispose()
    return applied


def test_what_was_lost_with_the_primary_is_applied_again(own_pg: Any, redis_server: Any) -> None:
    """10 of 10 with the inbox in the database of the effect; 7 of 10 with a set of ids in Redis beside it."""
    servers, numbers = own_pg(1), Numbering()
    primary, replica = servers.nodes
    messages = [numbers.message("a", {"k": "inbox", "n": n}) for n in range(1, 11)]
    engine = create_engine(primary.app_url)
    with engine.begin() as db:
        db.execute(text("CREATE TABLE ledger (k TEXT, n INTEGER)"))
    engine.dispose()
    done: Any = redis.Redis.from_url(redis_server.primary.url)
    done.delete("done")

    def beside(node: Any, numbers: range) -> None:
        """The hand-written way: apply it, then remember it elsewhere."""
        engine = create_engine(node.app_url)
        for n in numbers:
            if not done.sismember("done", n):
                with engine.begin() as db:
                    db.execute(text("INSERT INTO ledger VALUES ('beside', :n)"), {"n": n})
                done.sadd("done", n)
        engine.dispose()

    assert consume(primary, messages[:7]) == 7
    beside(primary, range(1, 8))

    def rows(node: Any) -> list[tuple[str, int]]:
        return [(key, n) for key, n in node.sql(LEDGER, database="shop")]

    wait_until(lambda: len(rows(replica)) == 14, "the replica has seven of each")
    replica.sql("ALTER SYSTEM SET primary_conninfo = ''")
    replica.sql("SELECT pg_reload_conf()")
    wait_until(lambda: not primary.sql("SELECT 1 FROM pg_stat_replication"), "nothing is replicated")
    assert consume(primary, messages) == 3
    beside(primary, range(1, 11))
    primary.kill()
    replica.promote()

    assert consume(replica, messages) == 3
    beside(replica, range(1, 11))
    found = rows(replica)
    assert [n for key, n in found if key == "inbox"] == list(range(1, 11))
    assert [n for key, n in found if key == "beside"] == list(range(1, 8)), "its dedup says that all ten are done"
    done.close()
    print("10 of 10 with the inbox, 7 of 10 with a dedup beside the effect")
