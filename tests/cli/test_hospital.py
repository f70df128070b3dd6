"""`regionkit hospital`: answers, exit codes, secrets that stay, and cases that are treated while processes die."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fix_caches import Engines
from messaging.hospital_rig import Ward, numbered
from sqlalchemy import create_engine, text

from regionkit import RegionKit
from regionkit.cli import main
from regionkit.messaging import Hospital
from regionkit.messaging.envelope import NOTHING_BEFORE
from regionkit.testing import crash_points

MANY = int(os.environ.get("REGIONKIT_POISON_AMONG", "600"))
"""Messages among which one is a poison; 10,000 in a campaign."""


@pytest.fixture
def ward(data_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    """A consumer on SQLite; the command line finds its database in the environment."""
    accounts = Engines(f"sqlite:///{data_path}/orders.db")
    monkeypatch.setenv("REGIONKIT_URL", accounts.url)
    with Ward(accounts) as made:
        yield made
    accounts.engine.dispose()


def poison(key: str, n: int) -> Any:
    """A message that its handler cannot take."""
    return numbered(key, n, {"n": n, "poison": True, "card": "4111-1111"})


def asked(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    """What the command says, as data."""
    assert main(["hospital", *words, "--json"]) == code, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.mark.timeout(120 + MANY // 10)
def test_a_poison_among_many_is_treated_by_command_line(
    ward: Ward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its key waits in order, all others are applied; edited and retried, the key goes on in order."""
    keys = 20
    ward.options["concurrency"] = 8
    for n in range(1, MANY // keys + 1):
        ward.publish(*(poison("k7", n) if (k, n) == (7, 5) else numbered(f"k{k}", n) for k in range(keys)))
    ward.run(until_idle=0.5)
    last = list(range(1, MANY // keys + 1))
    assert [ward.ledger(f"k{k}") for k in range(keys) if k != 7] == [last] * (keys - 1)
    assert ward.ledger("k7") == [1, 2, 3, 4]
    (case,) = asked(capsys, "list")
    detail = asked(capsys, "show", case["id"], "--payload")
    assert (detail["held_count"], detail["message"]["payload"]["card"]) == (len(last) - 5, "4111-1111")
    payload = tmp_path / "payload.json"
    payload.write_text(json.dumps(detail["message"]["payload"] | {"poison": False}))
    assert asked(capsys, "edit", case["id"], str(payload), "--reason", "a typo")["status"] == "admitted"
    assert asked(capsys, "retry", case["id"], "--who", "bob")["status"] == "retrying"
    ward.treat()
    assert ward.ledger("k7") == last
    trail = asked(capsys, "show", case["id"])["trail"]
    assert [line["what"] for line in trail] == ["admitted", "edited", "retried", "discharged"]
    assert (trail[1]["reason"], trail[2]["who"]) == ("a typo", "bob")
    print(f"{MANY} messages, {len(last) - 5} held behind one poison")


def test_answers_and_exit_codes(ward: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    """0 done, 1 somebody is waited for or it cannot be done, 2 wrong arguments; without --payload nothing of a payload."""
    assert asked(capsys, "stats")["open"] == 0
    ward.publish(poison("a", 1), numbered("a", 2), poison("b", 1), poison("c\x1b[2J", 1))
    ward.run()
    assert asked(capsys, "stats", code=1)["waiting"] == 3
    cases = sorted(asked(capsys, "list"), key=lambda case: case["key"])
    assert main(["hospital", "list"]) == 0
    out = capsys.readouterr().out
    assert out.count("admitted, key waits") == 3 and "\x1b" not in out and "Poison: cannot take 1" in out
    (group,) = asked(capsys, "groups")
    assert group["count"] == 3
    assert main(["hospital", "groups"]) == main(["hospital", "show", cases[0]["id"]]) == 0
    assert main(["hospital", "export"]) == 0
    out = capsys.readouterr().out
    assert "4111-1111" not in out
    assert "held         1 messages, from n=2" in out
    assert main(["hospital", "export", "--payload", "--key", "a"]) == 0
    assert json.loads(capsys.readouterr().out)["message"]["payload"]["card"] == "4111-1111"

    first = cases[0]["id"]
    for words in (
        ["retry", first],
        ["release", "a"],
        ["bury", first, "--reason", "x"],
        ["retry-group", group["group"]],
    ):
        assert main(["hospital", *words, "--dry-run"]) == 0
        assert "would" in capsys.readouterr().out
    assert [case["status"] for case in asked(capsys, "list")] == ["admitted"] * 3
    assert asked(capsys, "retry-group", group["group"], "--rate", "0.1", "--max", "2")["retried"] == 2
    (done,) = asked(capsys, "release", "a")
    assert (done["gap"], done["held"]) == (False, 1)
    assert main(["hospital", "release", "a"]) == main(["hospital", "show", "nobody"]) == 1
    assert main(["hospital", "retry", first]) == 1
    assert "is closed: buried" in " ".join(capsys.readouterr().err.split())
    assert main(["hospital", "bury", cases[1]["id"]]) == 2
    assert main(["hospital", "list", "--limit", "0"]) == 2
    assert main(["hospital", "edit", cases[1]["id"], "no such file"]) == 2


def test_a_database_is_named_and_never_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No URL, a wrong one, one without tables: an error each, without the password."""
    monkeypatch.delenv("REGIONKIT_URL", raising=False)
    for url in (None, "no url", "nothing://ann:secret@host/db", f"sqlite:///{tmp_path}/empty.db"):
        assert main(["hospital", "list", *(() if url is None else ("--url", url))]) == 2
        said = capsys.readouterr()
        assert "Traceback" not in said.err and "secret" not in said.err + said.out
    assert "create_tables" in said.err


def test_names_of_the_application(
    ward: Ward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a case is redirected to and what may be shown is loaded from the folder one stands in; kits are opened too."""
    (tmp_path / "shop_hospital.py").write_text(
        "from regionkit.messaging.sources import MemoryQueue\n"
        "dead = MemoryQueue('dead')\n"
        "def mask(payload): return {**payload, 'card': '****'}\n"
    )
    monkeypatch.chdir(tmp_path)
    ward.publish(poison("a", 1))
    ward.run()
    (case,) = asked(capsys, "list")
    shown = asked(capsys, "show", case["id"], "--payload", "--redact", "shop_hospital:mask")
    assert shown["message"]["payload"]["card"] == "****"
    for wrong in ("shop_hospital:nothing", "no_such_module:x", "shop_hospital:mask"):
        assert main(["hospital", "redirect", case["id"], "--to", wrong]) == 2
    capsys.readouterr()
    assert asked(capsys, "redirect", case["id"], "--to", "shop_hospital:dead")["status"] == "redirected"
    import shop_hospital

    assert len(shop_hospital.dead._pile.bodies) == 1
    Path("regionkit.toml").write_text(
        '[regions.us]\n[stores.orders]\nbackend = "sql"\n[[stores.orders.endpoints]]\n'
        'region = "us"\nrole = "primary"\nurl = "sqlite:///kept.db"\n'
    )
    with RegionKit.from_toml("regionkit.toml", local="us") as kit:
        kit.create_tables()
        Hospital(kit, store="orders").create_tables()
    where = ("--store", "orders", "--local", "us")
    assert asked(capsys, "list", *where) == []


POINTS = {
    "message.claimed": 10,
    "message.handled": 20,
    "message.committed": 25,  # held ones too
    "message.admitted": 2,
    "case.started": 1,
    "held.released": 3,
}
"""Where a consumer dies, and at which time that it comes there."""
LAST = 8
"""Messages of a key; of each round seven keys are new."""
POISONS = {("a", 2), ("b", 3), ("b", 6), ("c", 1), ("d", 4), ("u", 3)}
UNNUMBERED: dict[str, Any] = {"lineage": "", "number": None, "prev": NOTHING_BEFORE}


def forked(run: Callable[[], object]) -> int:
    """Run it in a child of this warm process; its id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 on, where other threads run
        child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            run()
            os._exit(0)
        os._exit(1)
    return child


def consume(url: str, rounds: int, point: str) -> None:
    """What a source gives again from its beginning, and a round that is new; then die at the point."""
    ward, left = Ward(Opened(url), gap_wait=0.3), POINTS.get(point, 0)

    def strike() -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    def feed() -> None:
        for last in range(rounds):
            for n in range(1, LAST + 1):
                for key in "abcdefu":
                    if (key, n) != ("e", 4):
                        payload, more = {"n": n, "poison": (key, n) in POISONS}, UNNUMBERED if key == "u" else {}
                        ward.publish(numbered(f"{key}{last}", n, payload, id=f"{key}{last}-{n}", **more))
                time.sleep(0.02 if last == rounds - 1 else 0.0)

    with crash_points({point: strike}):
        feeder = threading.Thread(target=feed)
        feeder.start()
        ward.run(until_idle=20.0 if point in POINTS else 1.0)
        feeder.join()


class Opened(Engines):
    """A database that has its tables."""

    def __init__(self, url: str) -> None:
        self.url, self.engine = url, create_engine(url)


def operate(payload: Path, changes: dict[str, list[str]], capsys: pytest.CaptureFixture[str], died: set[str]) -> None:
    """What somebody does with each case that waits: edit and retry it, or release its key; the first time of each they die."""
    for case in asked(capsys, "list", "--status", "admitted"):
        done, id = changes.setdefault(case["id"], []), case["id"]
        if case["reason"] == "gap" or case["key"].startswith("d"):
            what, words = "released", ["release", case["key"]]
        elif "edited" not in done:
            shown = asked(capsys, "show", id, "--payload")["message"]["payload"]
            payload.write_text(json.dumps(shown | {"poison": False}))
            what, words = "edited", ["edit", id, str(payload)]
        else:
            what, words = "retried", ["retry", id]
        if what not in died:
            died.add(what)
            with crash_points({"case.changed": "kill"}):
                child = forked(lambda words=words: main(["hospital", *words]))  # type: ignore[misc]
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
            done.append(what)
        elif main(["hospital", *words]) == 0:
            done.append(what)
        capsys.readouterr()


@pytest.mark.slow
def test_cases_are_treated_while_processes_die(ward: Ward, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed between each two commits of admit, hold, edit and release, with arrivals: the ledger is the model's."""
    changes: dict[str, list[str]] = {}
    died: set[str] = set()
    rounds = 0
    for point in [*POINTS, *["no point"] * 5]:
        rounds = min(rounds + 1, len(POINTS))
        worker = forked(lambda point=point: consume(ward.accounts.url, rounds, point))  # type: ignore[misc]  # noqa: B023
        while not (ended := os.waitpid(worker, os.WNOHANG))[0]:
            operate(tmp_path / "payload.json", changes, capsys, died)
            time.sleep(0.02)
        assert os.waitstatus_to_exitcode(ended[1]) == (-signal.SIGKILL if point in POINTS else 0), point
        if point not in POINTS and not asked(capsys, "list"):
            break
        with ward.accounts.engine.begin() as db:  # a run that died is looked at a minute later: that minute is over
            db.execute(text("UPDATE regionkit_rk_hospital SET due_at = 1 WHERE status = 'treating'"))
    assert died == {"edited", "released", "retried"}
    whole = list(range(1, LAST + 1))
    without = {"d": [n for n in whole if n != 4], "e": [n for n in whole if n != 4]}
    model = {f"{key}{n}": without.get(key, whole) for key in "abcdefu" for n in range(rounds)}
    assert {key: ward.ledger(key) for key in model} == model
    assert ward.rows("held") == 0 and asked(capsys, "list") == []
    cases = asked(capsys, "list", "--status", "discharged") + asked(capsys, "list", "--status", "buried")
    assert len(cases) == 7 * rounds
    for case in cases:
        trail = [line["what"].partition(":")[0] for line in asked(capsys, "show", case["id"])["trail"]]
        assert trail[0] == "admitted" and trail.count("admitted") == 1
        assert [what for what in trail if what in ("edited", "retried", "released")] == changes[case["id"]]
        assert trail[-1] == ("discharged" if case["status"] == "discharged" else "released")
    with ward.accounts.engine.connect() as db:
        assert db.execute(text("SELECT count(*) FROM regionkit_rk_gate WHERE parked <> ''")).scalar_one() == 0
    print(
        f"{len(POINTS)} consumers and {len(died)} operators killed, {len(cases)} cases, {sum(map(len, model.values()))} applied"
    )
