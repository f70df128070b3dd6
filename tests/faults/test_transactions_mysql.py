"""MySQL killed under XA, and what follows from it: branches beside no binary log, the anchor beside one; and the command line.

`make campaign-transactions` kills far more, and shows what XA beside a binary log would lose.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pymysql
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from regionkit.cli.command import main
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.transactions.logs.sql import SqlDecisionLog
from regionkit.transactions.manager import TransactionManager
from regionkit.transactions.participants.participant import BranchOptions
from regionkit.transactions.protocol import Decision, Vote
from regionkit.transactions.xid import Xid, gtrid_of

pytestmark = [pytest.mark.mysql, pytest.mark.slow]
KILLS = int(os.environ.get("REGIONKIT_MYSQL_KILLS", "4"))
FLUSHING = ("innodb-flush-method=fsync", "innodb-flush-log-at-trx-commit=1", "sync-binlog=1")
LOGLESS = "disable-log-bin"
EACH = 10_000_000
"""Names of a round."""


class Load:
    """Sessions that prepare and end branches, or commit plainly, until the server is killed; then what the server has."""

    def __init__(self, node: Any, first: int) -> None:
        self.node = node
        self.ids = itertools.count(first)
        self.asked: dict[int, str] = {}
        self.answered: dict[int, str] = {}
        self.resting, self.over = threading.Event(), threading.Event()
        """The first is set before the kill: who rests prepared stays so. The others are in the midst of something."""

    def connect(self) -> Any:
        return pymysql.connect(
            host=self.node.host, port=self.node.port, user="root", database="shop", autocommit=True,
            connect_timeout=5, read_timeout=30, ssl_disabled=True,
        )  # fmt: skip

    def work(self, seed: int, *, plain: bool, rests: bool) -> None:
        chance = random.Random(seed)
        try:
            self._work(self.connect().cursor(), chance, plain=plain, rests=rests)
        except pymysql.err.MySQLError:
            return  # it is dead

    def _work(self, cursor: Any, chance: random.Random, *, plain: bool, rests: bool) -> None:
        def step(number: int, name: str, *texts: str) -> None:
            self.asked[number] = name
            for one in texts:
                cursor.execute(one)
            self.answered[number] = name

        while not self.over.is_set():
            number = next(self.ids)
            xid, row = f"'kill.{number}','b',77", f"INSERT INTO killed VALUES ({number})"
            if plain:
                step(number, "plain", row)
                continue
            step(number, "work", f"XA START {xid}", row, f"XA END {xid}")
            step(number, "prepare", f"XA PREPARE {xid}")
            if rests:
                time.sleep(chance.random() * 0.1)
                if self.resting.is_set():
                    return  # it stays prepared
            end = "commit" if chance.random() < 0.8 else "rollback"
            step(number, end, f"XA {end} {xid}")

    def run_and_kill(self, seed: int) -> None:
        shapes = [(False, False)] * 4 + [(False, True)] * 3 + [(True, False)]
        threads = [
            threading.Thread(target=self.work, args=(seed * 100 + n,), kwargs={"plain": plain, "rests": rests})
            for n, (plain, rests) in enumerate(shapes)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.4 + random.Random(seed).random() * 0.6)
        self.resting.set()
        self.node.kill()
        self.over.set()
        for thread in threads:
            thread.join()
        self.node.start()

    def judged(self) -> Counter[str]:
        """By what was answered last, and what is wrong with it; then what is prepared is ended."""
        with self.connect() as db, db.cursor() as cursor:
            cursor.execute("SELECT id FROM killed")
            rows = {row[0] for row in cursor.fetchall()}
            cursor.execute("XA RECOVER")
            names = [row[3] if isinstance(row[3], str) else row[3].decode() for row in cursor.fetchall()]
            listed = {int(name.removeprefix("kill.").rstrip("b")) for name in names}
            for number in listed:
                cursor.execute(f"XA ROLLBACK 'kill.{number}','b',77")
        found: Counter[str] = Counter()
        for number, stage in self.answered.items():
            asked = self.asked[number]
            found[stage if stage == asked else f"{asked} unanswered"] += 1
            if stage == "prepare":
                kept = number in listed or (asked == "commit" and number in rows) or asked == "rollback"
                found[f"lost: prepared, {asked} asked"] += not kept
            elif stage in ("commit", "plain"):
                found[f"lost: {stage}"] += number not in rows | (listed if stage == "commit" else set())
            found["lost: rolled back"] += stage == "rollback" and number in rows
        return found


def killed(server: Any, kills: int) -> Counter[str]:
    """What came of so many kills of a server under load."""
    node, found = server.primary, Counter[str]()
    node.sql("CREATE TABLE killed (id BIGINT PRIMARY KEY)", database="shop")
    for round_ in range(kills):
        load = Load(node, round_ * EACH)
        load.run_and_kill(round_)
        found += load.judged()
    print(dict(found))
    return found


def lost(found: Counter[str], *but: str) -> int:
    """How much is lost, but for these."""
    return sum(count for name, count in found.items() if name.startswith("lost") and not name.startswith(but or "-"))


@pytest.mark.timeout(300 + 20 * KILLS)
def test_without_a_binary_log_a_crash_loses_nothing(own_mysql: Callable[..., Any]) -> None:
    """What answered PREPARE is prepared or ended as asked; what answered its end has ended, or can be ended again."""
    found = killed(own_mysql(settings=(*FLUSHING, LOGLESS)), KILLS)
    assert lost(found) == 0, found
    assert found["prepare"] + found["commit unanswered"] + found["rollback unanswered"] > 0, "nothing was prepared"
    assert found["commit"] > 0


@pytest.mark.timeout(300 + 20 * KILLS)
def test_beside_a_binary_log_the_anchor_loses_nothing(own_mysql: Callable[..., Any]) -> None:
    """Plain commits are kept; branches in the midst of XA COMMIT are not, before 8.0.30: the reason for refusing them."""
    server = own_mysql(settings=FLUSHING)
    found = killed(server, KILLS)
    assert lost(found, "lost: prepared", "lost: commit", "lost: rolled") == 0, found
    assert found["plain"] > 0
    if KILLS >= 40 and server.primary.version < (8, 0, 30):
        assert lost(found) > 0, "the control loses nothing: look whether the rule still has a reason"


def test_the_command_line_recovers_mysql_after_a_crash(
    own_mysql: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of URLs alone: prepared and decided, then the server dies; the doctor is content, and recovery commits both sides."""
    server = own_mysql(settings=(*FLUSHING, LOGLESS))
    node = server.primary
    node.sql(f"GRANT XA_RECOVER_ADMIN ON *.* TO app@'{server._app_host}'")
    urls = {name: node.url_for(server.database()) for name in ("a", "b", "log")}
    words = ["--log", urls["log"], "--namespace", "shop", "--json"]
    words += [word for name in ("a", "b") for word in ("--participant", f"{name}={urls[name]}")]
    engines = {name: create_engine(url, poolclass=NullPool) for name, url in urls.items()}
    log = SqlDecisionLog(engines["log"])
    tm = TransactionManager(namespace="shop", log=log, participants={name: engines[name] for name in ("a", "b")})
    for name in ("a", "b"):
        with engines[name].begin() as db:
            db.execute(text("CREATE TABLE moved (id INTEGER PRIMARY KEY)"))
    tm.create_tables()
    soon = Deadline(SYSTEM_CLOCK, 60.0)
    gtrid, id = gtrid_of(int(time.time() * 1000), os.urandom(10)), log.open("shop", soon).id
    parts = tm.operator("test")._setting.participants
    branches = []
    for name in ("a", "b"):
        parts[name].open(soon)
        branch = parts[name].begin(BranchOptions(Xid("shop", id, gtrid, name, 0)), soon)
        branch.session().execute(text("INSERT INTO moved VALUES (7)"))
        assert branch.prepare(soon).vote is Vote.YES
        branches.append(branch)
    assert log.decide(gtrid, Decision.COMMIT, ["a", "b"], "test", soon) is Decision.COMMIT
    node.kill()
    node.start()
    for branch in branches:
        branch.close()
    tm.close()

    def told(code: int, *said: str) -> Any:
        assert main(["tpc", *said, *words]) == code, capsys.readouterr()
        return json.loads(capsys.readouterr().out)

    assert {one["level"] for one in told(0, "doctor")} <= {"ok", "warning"}
    [doubt] = told(1, "list")["in_doubt"]
    assert doubt["gtrid"] == gtrid
    assert {branch["verdict"] for branch in doubt["branches"]} == {"COMMIT"}
    assert told(0, "recover", "--once")["committed"] == 2
    for name in ("a", "b"):
        with engines[name].connect() as db:
            assert db.execute(text("SELECT id FROM moved")).all() == [(7,)]
    assert told(0, "list")["in_doubt"] == []
    for engine in engines.values():
        engine.dispose()
