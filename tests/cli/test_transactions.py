"""`regionkit tpc`: over a manager of the application's, in memory; and over one made of URLs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from regionkit.cli.command import main
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.transactions.logs.memory import MemoryDecisionLog
from regionkit.transactions.logs.memory_async import AsyncMemoryDecisionLog
from regionkit.transactions.manager import TransactionManager
from regionkit.transactions.manager_async import AsyncTransactionManager
from regionkit.transactions.participants.memory import MemoryParticipant
from regionkit.transactions.participants.memory_async import AsyncMemoryParticipant
from regionkit.transactions.participants.participant import BranchOptions
from regionkit.transactions.protocol import Decision
from regionkit.transactions.xid import Xid, gtrid_of

GONE = "neither prepared nor committed"


class Shop:
    """A manager's log and participants that outlive a command."""

    def __init__(self) -> None:
        self.log = MemoryDecisionLog()
        self.at = {name: MemoryParticipant(name) for name in ("a", "b")}

    def manager(self) -> TransactionManager:
        return TransactionManager(namespace="shop", log=self.log, participants=self.at)

    def prepared(self, *names: str, decision: Decision | None = None) -> str:
        """A transaction that its coordinator left."""
        gtrid, soon = gtrid_of(int(time.time() * 1000), os.urandom(10)), Deadline(SYSTEM_CLOCK, 30.0)
        log = self.log.open("shop", soon).id
        for name in names or self.at:
            branch = self.at[name].begin(BranchOptions(Xid("shop", log, gtrid, name, 6)), soon)
            branch.session()[gtrid] = 1
            branch.prepare(soon)
        if decision is not None:
            self.log.decide(gtrid, decision, names or tuple(self.at), "test", soon)
        return gtrid

    def ended(self, gtrid: str) -> list[str]:
        return [name for name, at in self.at.items() if gtrid in at.data]

    def left(self) -> int:
        return sum(len(at.prepared) for at in self.at.values())


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    module: Any = ModuleType("shop_app")
    module.shop = Shop()
    module.manager, module.number = module.shop.manager, 7
    monkeypatch.setitem(sys.modules, "shop_app", module)
    monkeypatch.setenv("REGIONKIT_TPC", "shop_app:manager")
    yield module.shop


def told(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> Any:
    """What a command prints as JSON; its exit code is `code`."""
    assert main(["tpc", *words, "--json"]) == code, capsys.readouterr()
    return json.loads(capsys.readouterr().out)


def test_nothing_in_doubt_is_good(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0; and a coordinator that may be at work is no reason for another one."""
    assert main(["tpc", "list"]) == 0
    assert "nothing is in doubt" in capsys.readouterr().out
    gtrid = shop.prepared()
    found = told(capsys, 0, "list")
    assert [one["gtrid"] for one in found["in_doubt"]] == [gtrid]
    assert {branch["verdict"] for branch in found["in_doubt"][0]["branches"]} == {"LEAVE"}


def test_recover_once_ends_what_is_decided(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """And says what it did; what is away is exit code 1."""
    gtrid = shop.prepared(decision=Decision.COMMIT)
    shop.at["b"].faults.down = True
    found = told(capsys, 1, "recover", "--once")
    assert (found["committed"], list(found["unreachable"])) == (1, ["b"])
    shop.at["b"].faults.down = False
    assert main(["tpc", "recover"]) == 0
    assert "1 branches committed" in capsys.readouterr().out
    assert shop.ended(gtrid) == ["a", "b"]


@pytest.mark.parametrize("want", ["commit", "rollback"])
def test_an_operator_ends_what_is_left(shop: Shop, want: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Undecided, it is rolled back; a branch that has committed proves a COMMIT that the log lacks. It is written first."""
    gtrid = shop.prepared()
    if want == "commit":
        soon = Deadline(SYSTEM_CLOCK, 60.0)
        shop.at["a"].finish(shop.at["a"].listed(soon)[0], True, soon)
    found = told(capsys, 0, want, gtrid, "--who", "ann")
    assert (shop.left(), shop.ended(gtrid)) == (0, ["a", "b"] if want == "commit" else [])
    assert found["decision"] == ("COMMIT" if want == "commit" else "ABORT")
    assert shop.log.rows_now[gtrid].decided_by == "operator ann"
    other = "rollback" if want == "commit" else "commit"
    assert main(["tpc", other, gtrid]) == 1
    assert "decided, by operator ann" in capsys.readouterr().err


def test_an_operator_cannot_contradict(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither the log, nor a marker, nor a tombstone, nor one who cannot be asked; nothing is written then."""
    soon = Deadline(SYSTEM_CLOCK, 60.0)
    log = shop.log.open("shop", soon).id

    def refused(want: str, gtrid: str, why: str) -> None:
        rows = dict(shop.log.rows_now)
        assert main(["tpc", want, gtrid]) == 1
        error = " ".join(capsys.readouterr().err.split())
        assert why in error and "the evidence is" in error
        assert shop.log.rows_now == rows

    refused("commit", shop.prepared(), "COMMIT was not decided: its coordinator may have aborted it")
    decided, aborted = shop.prepared(decision=Decision.COMMIT), shop.prepared(decision=Decision.ABORT)
    refused("rollback", decided, "COMMIT is decided, by test")
    refused("commit", aborted, "ABORT is decided, by test")
    half = shop.prepared()
    [listed] = [one for one in shop.at["a"].listed(soon) if one.xid.gtrid == half]
    shop.at["a"].finish(listed, True, soon)
    refused("rollback", half, "it is committed on a")
    barred = shop.prepared("b")
    shop.at["a"].bar(Xid("shop", log, barred, "a", 0), soon)
    refused("commit", barred, "it cannot commit any more on a")
    refused("commit", gtrid_of(1, bytes(10)), "no participant knows of it")
    away = shop.prepared()
    shop.at["a"].faults.down = True
    refused("commit", away, "nobody can ask a")
    shop.log.history = "promoted"
    refused("rollback", away, "decisions may be missing")
    shop.at["a"].faults.down = False
    assert told(capsys, 0, "commit", half)["decision"] == "COMMIT"
    assert shop.ended(half) == ["a", "b"]


def test_a_hazard_is_shown_until_it_is_forgotten(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """By list, show and doctor."""
    gtrid, soon = shop.prepared(decision=Decision.COMMIT), Deadline(SYSTEM_CLOCK, 60.0)
    shop.at["b"].finish(shop.at["b"].listed(soon)[0], False, soon)
    assert told(capsys, 1, "recover")["in_doubt"][0]["hazards"].keys() == {"b"}
    assert main(["tpc", "list"]) == 1
    assert f"HAZARD b: it is {GONE}" in capsys.readouterr().out
    assert GONE in told(capsys, 1, "show", gtrid)["hazards"]["b"]
    assert [one["subject"] for one in told(capsys, 0, "doctor") if GONE in one["what"]] == [gtrid]
    assert told(capsys, 0, "forget", gtrid) == {"forgotten": True}
    assert told(capsys, 1, "forget", gtrid) == {"forgotten": False}
    assert told(capsys, 0, "recover")["in_doubt"] == []


def test_the_log_is_made_verified_and_adopted(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed history is exit code 1 until an operator has said that nothing is missing."""
    made = told(capsys, 0, "log", "init")
    assert told(capsys, 0, "log", "verify")["id"] == made["id"]
    shop.log.history = "promoted"
    assert told(capsys, 1, "log", "verify")["presumes"] is False
    assert main(["tpc", "list"]) == 1
    assert "decisions may be missing" in capsys.readouterr().out
    assert told(capsys, 0, "log", "adopt")["noted"] == "promoted"
    assert told(capsys, 0, "log", "verify")["presumes"] is True


def test_another_instance_is_adopted_by_name(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """And only by the name of a participant."""
    told(capsys, 0, "recover")
    shop.at["b"] = MemoryParticipant("b")
    assert told(capsys, 1, "list")["strange"].keys() == {"b"}
    assert main(["tpc", "adopt", "c"]) == 1
    assert "name one of: a, b" in capsys.readouterr().err
    told(capsys, 0, "adopt", "b")
    assert told(capsys, 0, "list")["strange"] == {}


def test_sweep_deletes_what_is_old(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """A tombstone of a year ago; not one of today."""
    soon = Deadline(SYSTEM_CLOCK, 30.0)
    shop.log.decide(gtrid_of(1000, os.urandom(10)), Decision.ABORT, ("a",), "test", soon)
    shop.log.decide(gtrid_of(int(time.time() * 1000), os.urandom(10)), Decision.ABORT, ("a",), "test", soon)
    assert told(capsys, 0, "sweep") == {"swept": 1}
    assert len(shop.log.rows_now) == 1


def test_the_doctor_refuses_what_a_manager_would_not_start_with(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1; a participant that is away is a warning, as is a missing recoverer."""
    from regionkit.transactions.findings import Finding

    shop.at["a"].doctor = lambda deadline: 1 / 0  # type: ignore[assignment, method-assign]
    found = told(capsys, 0, "doctor")
    assert {one["subject"] for one in found if one["level"] == "warning"} == {"log", "a", "b"}
    assert any("no recoverer" in one["what"] for one in found)
    shop.at["b"].doctor = lambda deadline: [Finding("refused", "b", "fsync is off")]  # type: ignore[assignment, method-assign]
    assert main(["tpc", "doctor"]) == 1
    assert "refused  b: fsync is off" in capsys.readouterr().out


def test_a_manager_of_a_loop_is_as_good(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One loop for the whole command."""
    module: Any = ModuleType("shop_app")
    at = {name: AsyncMemoryParticipant(name) for name in ("a", "b")}
    log = AsyncMemoryDecisionLog()
    module.manager = lambda: AsyncTransactionManager(namespace="shop", log=log, participants=at)
    monkeypatch.setitem(sys.modules, "shop_app", module)
    assert told(capsys, 0, "recover", "--manager", "shop_app:manager")["in_doubt"] == []
    assert told(capsys, 0, "log", "verify", "--manager", "shop_app:manager")["presumes"] is True


@pytest.mark.parametrize("named", ["nowhere:manager", "shop_app:nothing", "shop_app", "shop_app:number"])
def test_what_is_no_manager_is_refused(shop: Shop, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By its name, with exit code 2."""
    assert main(["tpc", "list", "--manager", named]) == 2
    assert named in capsys.readouterr().err


def test_without_a_manager_it_asks_for_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and how to name it; a URL is not printed."""
    monkeypatch.delenv("REGIONKIT_TPC", raising=False)
    assert main(["tpc", "list"]) == 2
    assert "--manager MODULE:NAME" in capsys.readouterr().err
    assert main(["tpc", "list", "--namespace", "shop", "--log", "sqlite://", "--participant", "secret"]) == 2
    assert main(["tpc", "list", "--namespace", "shop", "--log", "nosuch://me:secret@there/db"]) == 2
    assert "me:secret" not in capsys.readouterr().err


def test_urls_are_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every action over a log and a participant in files of SQLite, each as a command of its own."""
    where = ["--namespace", "shop", "--log", f"sqlite:///{tmp_path}/log.db"]
    where += ["--participant", f"a=sqlite:///{tmp_path}/a.db"]
    assert main(["tpc", "log", "verify", *where]) == 2
    assert "never made" in capsys.readouterr().err
    id = told(capsys, 0, "log", "init", *where)["id"]
    assert told(capsys, 0, "log", "verify", *where)["id"] == id
    assert told(capsys, 0, "log", "adopt", *where)["id"] == id
    gtrid = gtrid_of(int(time.time() * 1000), os.urandom(10))
    assert told(capsys, 1, "forget", gtrid, *where) == {"forgotten": False}
    assert told(capsys, 0, "show", gtrid, *where)["decision"] == "none"
    assert told(capsys, 0, "rollback", gtrid, *where)["decision"] == "ABORT"
    assert main(["tpc", "commit", gtrid, *where]) == 1
    assert told(capsys, 0, "recover", *where)["in_doubt"] == []
    assert told(capsys, 0, "list", *where)["presumes"] is True
    assert told(capsys, 0, "sweep", *where) == {"swept": 0}
    assert told(capsys, 0, "adopt", "a", *where)["instance"]
    levels = {one["level"] for one in told(capsys, 0, "doctor", *where)}
    assert "refused" not in levels


WATCHED = """
import os, time
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.transactions.logs.{kind} import {form}MemoryDecisionLog
from regionkit.transactions.manager{end} import {form}TransactionManager
from regionkit.transactions.participants.{kind} import {form}MemoryParticipant

def manager():
    at = {{"a": {form}MemoryParticipant("a")}}
    return {form}TransactionManager(namespace="shop", log={form}MemoryDecisionLog(), participants=at)
"""


@pytest.mark.parametrize("form", ["", "Async"])
def test_watching_ends_with_sigterm(tmp_path: Path, form: str) -> None:
    """A recoverer of its own process: it says that it runs, and ends well."""
    ends = {"form": form, "kind": "memory_async" if form else "memory", "end": "_async" if form else ""}
    (tmp_path / "watched_app.py").write_text(WATCHED.format(**ends))
    words = [sys.executable, "-m", "regionkit.cli", "tpc", "recover", "--watch", "--interval", "0.05"]
    child = subprocess.Popen(
        [*words, "--manager", "watched_app:manager"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ},
    )
    assert child.stderr is not None
    assert "recovers every 0.05 s" in child.stderr.readline()
    time.sleep(0.3)
    child.send_signal(signal.SIGTERM)
    assert child.wait(60) == 0
    child.stderr.close()
