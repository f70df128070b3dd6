"""Several processes on one log; and a log whose server failed over to a copy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from regionkit.errors import Fenced
from regionkit.transactions.logs.sql import SqlDecisionLog
from regionkit.transactions.protocol import Decision

from .log_rigs import NAMESPACE, SQL_LOGS, LogRig, new_gtrid, soon
from .test_file_log_crashes import environment

RACER = """
import sys
import sqlalchemy
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.errors import Fenced
from regionkit.transactions.logs.sql import SqlDecisionLog
from regionkit.transactions.protocol import Decision
url, want, *gtrids = sys.argv[1:]
log = SqlDecisionLog(sqlalchemy.create_engine(url), unsafe_async_replica=True)
log.open("shop", Deadline(SYSTEM_CLOCK, 60.0))
print("ready", flush=True)
sys.stdin.readline()
for gtrid in gtrids:
    print(log.decide(gtrid, Decision[want], ["a", "b"], "r", Deadline(SYSTEM_CLOCK, 60.0)).name)
log.close()
"""
RACES = 40


@pytest.mark.parametrize("server", SQL_LOGS)
def test_processes_are_told_one_winner(server: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A coordinator and two recoverers, over and over."""
    rig = LogRig.of(request, server, tmp_path)
    log = rig.made()
    gtrids = [new_gtrid() for _ in range(RACES)]
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, rig.url, want, *gtrids],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for want in ("COMMIT", "ABORT", "ABORT")
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    told = [racer.communicate(timeout=120)[0].split() for racer in racers]
    stands = log.rows(gtrids, soon())
    assert told == [[stands[gtrid].decision.name for gtrid in gtrids]] * 3
    rig.close()


def test_after_a_failover_nothing_is_presumed(own_pg: Callable[..., Any]) -> None:
    """The copy lacks what it had not received; the log there says that it is another one, until an operator adopts it."""
    servers = own_pg(1)
    database = servers.database()
    primary, replica = servers.nodes
    engines = [sqlalchemy.create_engine(node.url_for(database)) for node in (primary, replica)]
    log = SqlDecisionLog(engines[0], unsafe_async_replica=True)
    log.create_tables(NAMESPACE, soon())
    before = log.open(NAMESPACE, soon())
    gtrid = new_gtrid()
    log.decide(gtrid, Decision.COMMIT, ["a"], "host:1", soon())
    servers.wait_for_replicas()
    log.close()
    primary.kill()
    replica.promote()
    promoted = SqlDecisionLog(engines[1], unsafe_async_replica=True)
    with pytest.raises(Fenced, match="failed over"):
        promoted.open(NAMESPACE, soon())
    promoted.create_tables(NAMESPACE, soon())  # as each start of the application may
    after = promoted.open(NAMESPACE, soon())
    assert (after.id, before.presumes, after.presumes) == (before.id, True, False)
    assert promoted.adopt(soon()).presumes
    assert promoted.decide(gtrid, Decision.ABORT, [], "r", soon()) is Decision.COMMIT
    promoted.close()
    for engine in engines:
        engine.dispose()
