"""`regionkit relay`: a relay of the application's, until it is told to stop."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from regionkit.cli.command import main

APPLICATION = """
from sqlalchemy import create_engine
from regionkit.messaging import Outbox, Relay
from regionkit.messaging.sources.source import Sent, SourceFacts

class Printer:
    name, facts = "printer", SourceFacts("printer", float("inf"), None)
    def publish(self, bodies, deadline):
        return [Sent(True)] * len(bodies)
    def close(self):
        pass

outbox = Outbox(create_engine("sqlite:///orders.db"))
def relay():
    outbox.create_tables()
    outbox.send("default", {"id": 1}, key="a")
    return Relay(outbox, to=Printer())
number = 7
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "orders_app.py").write_text(APPLICATION)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "regionkit.cli", "relay", *words]


def test_once_and_explained(folder: Path) -> None:
    """What is due is published; the explanation is printed."""
    done = subprocess.run(command("run", "--once", "orders_app:relay"), capture_output=True, text=True, timeout=60)
    assert "published=1" in done.stdout and "at least once" in done.stderr, done
    told = subprocess.run(command("explain", "--json", "orders_app:relay"), capture_output=True, text=True, timeout=60)
    assert '"publish_after": "commit"' in told.stdout, told


def test_it_stops_when_it_is_told_to(folder: Path) -> None:
    """SIGTERM: what is under way ends, and the exit code is 0."""
    relay = subprocess.Popen(command("run", "orders_app:relay"), stdout=subprocess.PIPE, text=True)
    engine, until = create_engine("sqlite:///orders.db"), time.monotonic() + 60
    while time.monotonic() < until:
        time.sleep(0.05)
        try:
            with engine.connect() as db:
                taken = db.execute(text("SELECT count(*) FROM regionkit_rk_outbox_lease")).scalar()
                if taken and not db.execute(text("SELECT count(*) FROM regionkit_rk_outbox")).scalar():
                    break
        except OperationalError:  # no tables yet
            pass
    relay.send_signal(signal.SIGTERM)
    out, _ = relay.communicate(timeout=60)
    assert relay.returncode == 0 and "published=1" in out
    engine.dispose()


@pytest.mark.parametrize("named", ["nowhere:relay", "orders_app:nothing", "orders_app", "orders_app:number"])
def test_what_is_no_relay_is_refused(folder: Path, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By its name, with exit code 2."""
    assert main(["relay", "explain", named]) == 2
    assert named in capsys.readouterr().err
