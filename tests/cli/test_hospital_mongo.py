"""`regionkit hospital` on a MongoDB inbox."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from messaging.test_hospital_mongo import MongoWard, parked

from regionkit.cli import main


def test_a_poison_is_treated_by_command_line(
    mongo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Listed, shown, edited, retried; another key released; exit codes as on any other database."""
    url = mongo.url_for(mongo.database())
    monkeypatch.setenv("REGIONKIT_URL", url)

    def asked(*words: str, code: int = 0) -> Any:
        assert main(["hospital", *words, "--json"]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    with MongoWard(url) as ward:
        case = parked(ward)
        [line] = asked("list")
        assert (line["id"], line["status"], line["key"]) == (case.id, "admitted", "a")
        assert asked("stats", code=1)["waiting"] == 1
        assert len(asked("groups")) == 1
        assert asked("show", case.id)["held_count"] == 3
        payload = tmp_path / "payload.json"
        payload.write_text('{"n": 2}')
        asked("edit", case.id, str(payload), "--reason", "a typo")
        asked("retry", case.id)
        ward.treat()
        assert ward.ledger("a") == [1, 2, 3, 4, 5]
        parked(ward, "b")
        asked("release", "b", "--reason", "never mind")
        ward.treat()
        assert ward.ledger("b") == [1, 3, 4, 5]
        assert asked("stats")["open"] == 0
    assert main(["hospital", "list", "--url", "mongodb://user:secret@localhost"]) == 2
    assert "secret" not in capsys.readouterr().err
