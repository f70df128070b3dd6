"""`regionkit doctor`: exit codes, files, and pieces of the application's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from regionkit import RegionKit
from regionkit.caching import Cache, Shared, SqlSink, WriteBack
from regionkit.cli import main
from regionkit.embedded import SqliteRegions

MODULE = """
import os

from sqlalchemy import BigInteger, Column, MetaData, String, Table, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from regionkit import AsyncRegionKit, RegionKit
from regionkit.caching import AsyncCache, AsyncSqlSink, Cache, Shared, SqlSink, WriteBack
from regionkit.embedded import SqliteRegions
from regionkit.messaging import Consumer, Hospital, Outbox, SqlInbox
from regionkit.messaging.sources import MemoryQueue
from regionkit.transactions import MemoryDecisionLog, MemoryParticipant, TransactionManager

engine = create_engine("sqlite:///{folder}/pieces.db")
log, accounts = MemoryDecisionLog(), MemoryParticipant("accounts")


def manager():
    return TransactionManager(namespace="shop", log=log, participants={{"accounts": accounts}})


def outbox():
    made = Outbox(engine)
    made.create_tables()
    return made


def late():
    made = outbox()
    with engine.begin() as db:
        made.publish(db, "order.placed", {{}}, key="k")
    with engine.begin() as db:
        db.execute(text("UPDATE regionkit_rk_outbox SET published_at = 0"))
    return made


def hospital():
    made = Hospital(engine)
    made.create_tables()
    return made


def consumer():
    return Consumer(MemoryQueue("orders"), inbox=SqlInbox(engine, retention=1.0), hospital=Hospital(engine), name="billing")


profiles = Table("profiles", MetaData(), Column("id", String(64), primary_key=True), Column("name", String(64)),
                 Column("rk_ver", BigInteger, nullable=False, server_default="0"))


def cache():
    strategy = WriteBack(sink=SqlSink(engine, profiles), durability="memory", ttl=300)
    return Cache("p" + os.urandom(4).hex(), dict, strategy=strategy, tiers=[Shared(os.environ["SHARED"], timeout=5.0)])


async def acache():
    sink = AsyncSqlSink(create_async_engine("sqlite+aiosqlite:///{folder}/pieces.db"), profiles)
    strategy = WriteBack(sink=sink, durability="memory", ttl=300)
    return AsyncCache("p" + os.urandom(4).hex(), dict, strategy=strategy, tiers=[Shared(os.environ["SHARED"], timeout=5.0)])


def kit():
    return RegionKit(REGIONS.topology, local="us", bookmark_keys=["k" * 40])


def akit():
    return AsyncRegionKit(REGIONS.topology, local="us", bookmark_keys=["k" * 40])


nothing = 7
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of an application, with its name."""
    name = f"doctored_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE.format(folder=tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_pieces_that_are_well(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Several at once; without a kit no configuration is asked for."""
    names = [word for piece in ("outbox", "hospital") for word in ("--app", f"{app}:{piece}")]
    assert main(["doctor", *names]) == 0, capsys.readouterr().out
    assert capsys.readouterr().out.splitlines()[-1].endswith("no findings.")


def test_a_manager_that_nobody_recovers(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own doctor's findings, with a code; tables that are missing too."""
    assert main(["doctor", "--app", f"{app}:manager", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert {f["code"] for f in told["findings"]} <= {"D801", "D804"} and told["findings"]


def test_an_outbox_whose_messages_wait(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No relay runs."""
    assert main(["doctor", "--app", f"{app}:late", "--json"]) == 1
    [found] = json.loads(capsys.readouterr().out)["findings"]
    assert found["code"] == "D802" and "is a relay running?" in found["what"]


@pytest.mark.parametrize("piece", ["cache", "acache"])
def test_a_cache_whose_table_is_not_there(
    app: str, piece: str, redis_server: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of threads and of tasks; with its table there are no findings."""
    monkeypatch.setenv("SHARED", redis_server.primary.url)
    words = ["doctor", "--app", f"{app}:{piece}", "--json"]
    assert main(words) == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert {f["code"] for f in found} <= {"D803", "D804"} and found
    module = __import__(app)
    module.profiles.metadata.create_all(module.engine)
    made = Cache("x", dict, strategy=WriteBack(sink=SqlSink(module.engine, module.profiles), durability="memory", ttl=300),
                 tiers=[Shared(redis_server.primary.url)])  # fmt: skip
    made.create_tables()
    made.close()
    assert main(words) == 0, capsys.readouterr().out


def test_what_cannot_be_examined(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No such name, or no such piece: 2, and what to write."""
    for named, said in (
        (f"{app}:nothing", "name a RegionKit"),
        (f"{app}:nobody", "cannot be loaded"),
        ("no_such:x", "No module"),
    ):
        assert main(["doctor", "--app", named]) == 2
        assert said in capsys.readouterr().err


def test_a_kit_of_the_application(
    app: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of threads or of asyncio, in the place of the file."""
    with SqliteRegions(tmp_path / "data", store="orders", primary="us", replicas=["kr"], namespace="shop") as regions:
        with RegionKit(regions.topology, local="us") as kit:
            kit.create_tables()
        __import__(app)
        monkeypatch.setattr(f"{app}.REGIONS", regions, raising=False)
        for name in ("kit", "akit"):
            assert main(["doctor", "--app", f"{app}:{name}", "--json"]) == 0
            assert json.loads(capsys.readouterr().out)["endpoints"] == 2
        regions.kill("us")
        assert main(["doctor", "--app", f"{app}:kit"]) == 1
        assert "D201  orders us" in capsys.readouterr().out


def test_a_file_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """2, with the path of the mistake."""
    path = tmp_path / "x.toml"
    assert main(["doctor", "--config", str(path)]) == 2
    path.write_text("[regions.us]\n[stores.orders]\nbackned = 'sql'")
    assert main(["doctor", "--config", str(path), "--local", "us"]) == 2
    assert "backned" in capsys.readouterr().err
