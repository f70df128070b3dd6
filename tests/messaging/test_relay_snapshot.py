"""Rule 23: an old snapshot keeps dead rows, and a relay that begins at a floor does not walk over them.

A campaign: it takes a minute. REGIONKIT_OUTBOX_EVENTS=20000 or more.
"""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from regionkit.messaging import Outbox, Relay
from regionkit.messaging.outbox_rules import Floor

from .landing import Landing

pytestmark = pytest.mark.slow

EVENTS = int(os.environ.get("REGIONKIT_OUTBOX_EVENTS", "5000"))


def test_an_old_snapshot_does_not_slow_it_down(pg: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least twice as fast as without a floor, after four times as many rows as are published."""
    if EVENTS < 20_000:
        pytest.skip("a campaign takes it")
    engine = create_engine(pg.primary.url_for(pg.database()))
    outbox = Outbox(engine)
    outbox.create_tables()
    relay = Relay(outbox, to=Landing(), gated=True)

    def rate() -> float:
        for _ in range(4):
            with Session(engine) as db, db.begin():
                for n in range(EVENTS // 4):
                    outbox.publish(db, "made", n, key=f"k{n % 1000}")
        began = time.perf_counter()
        assert relay.run_once().published == EVENTS
        return EVENTS / (time.perf_counter() - began)

    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as old:
        old.execute(text("SELECT count(*) FROM regionkit_rk_outbox"))
        with_floor = [rate() for _ in range(4)]
        monkeypatch.setattr(Floor, "begin", lambda *_: 0)
        without = rate()
    print(f"with a floor {', '.join(f'{r:.0f}' for r in with_floor)}/s; without {without:.0f}/s")
    assert with_floor[-1] > 2 * without
    relay.stop()
    outbox.close()
    engine.dispose()
