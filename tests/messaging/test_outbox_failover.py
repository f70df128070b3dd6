"""Rule 3 on a real asynchronous replica: it is promoted without the last events, and gives their numbers out again."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from regionkit.messaging import Outbox, Relay
from regionkit.messaging.delivery import Verdict
from regionkit.messaging.envelope import Envelope
from regionkit.testing.servers.nodes import wait_until

from .landing import Judge, Landing

pytestmark = pytest.mark.slow


def publish(node: Any, landing: Landing, numbers: range) -> None:
    """A transaction each, and then a relay."""
    engine = create_engine(node.app_url)
    outbox = Outbox(engine)
    if numbers.start == 1:
        outbox.create_tables()
    for number in numbers:
        with Session(engine) as db, db.begin():
            outbox.publish(db, "made", number, key="a")
    outbox.create_tables()  # the promoted server counts from here on; numbers were taken before that
    relay = Relay(outbox, to=landing)
    relay.run_once()
    relay.stop()
    outbox.close()
    engine.dispose()


def by_n_alone(came: list[Envelope]) -> list[int]:
    """What a consumer applies that knows only how far it has come."""
    at, applied = 0, []
    for number, envelope in enumerate(came):
        assert envelope.number is not None
        if envelope.number.n > at:
            at = envelope.number.n
            applied.append(number)
    return applied


def test_numbers_that_are_given_out_again_are_no_duplicates(own_pg: Any) -> None:
    """10 published, 7 replicated: 8, 9 and 10 of the promoted server are others, and are applied."""
    servers, landing = own_pg(1), Landing()
    primary, replica = servers.nodes
    publish(primary, landing, range(1, 8))

    def rows() -> int:
        return int(replica.sql("SELECT n FROM regionkit_rk_outbox_key", database="shop")[0][0])

    wait_until(lambda: rows() == 7, "the replica has 7")
    replica.sql("ALTER SYSTEM SET primary_conninfo = ''")
    replica.sql("SELECT pg_reload_conf()")
    wait_until(lambda: not primary.sql("SELECT 1 FROM pg_stat_replication"), "nothing is replicated")
    publish(primary, landing, range(8, 11))
    primary.kill()
    replica.promote()
    publish(replica, landing, range(11, 14))

    assert [envelope.number.n for envelope in landing.came if envelope.number][-6:] == [8, 9, 10, 8, 9, 10]
    assert by_n_alone(landing.came) == list(range(10)), "three events are lost, without a history"
    consumer = Judge()
    verdicts = [consumer.take(envelope) for envelope in landing.came]
    assert verdicts == [Verdict.APPLY] * 13
    assert consumer.applied["a"] == list(range(1, 14))
    assert {envelope.lineage for envelope in landing.came} == {landing.came[0].lineage}
