# Generated from test_clock_steps_async.py by scripts/twins.py. Do not edit.
"""A clock that was set days ahead, or back: nothing is half done, and the error names the clock and not recovery."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from regionkit.errors import TransactionAborted
from regionkit.testing import VirtualClock
from regionkit.transactions.logs.file import FileDecisionLog
from regionkit.transactions.manager import TransactionManager
from regionkit.transactions.participants.files import FilesParticipant

from .test_transactions_sql import Bank, bank, both  # noqa: F401

DAYS = 86_400.0
NAMES = ("one", "two")


class Stepped(VirtualClock):
    """Whose wall can be set; what is measured goes on."""

    step = 0.0

    def wall(self) -> float:
        return super().wall() + self.step


@pytest.mark.parametrize("days", [8, -8])
def test_the_clock_of_a_file_log(tmp_path: Path, days: int) -> None:
    """Ahead, recovery closes the log for what is begun when it is set right: told as such, by the error and by doctor."""
    clock = Stepped(wall=time.time())
    for name in NAMES:
        (tmp_path / name).mkdir()
    tm = TransactionManager(
        namespace="shop",
        log=FileDecisionLog(tmp_path / "log", unsafe_place=True, clock=clock),
        participants={name: FilesParticipant(name, tmp_path / name) for name in NAMES},
        clock=clock,
    )
    tm.create_tables()

    def put(what: str) -> None:
        with tm.begin(timeout=10.0) as tx:
            for name in NAMES:
                (tx.session(name)).put(what, b"x")

    put("before")
    clock.step = days * DAYS
    put("stepped")
    for _ in range(2):
        clock.advance(700.0)
        tm.recover()
    clock.step = 0.0
    if days < 0:
        put("back")
    else:
        with pytest.raises(TransactionAborted, match="closed for transactions begun before") as caught:
            put("back")
        assert not caught.value.retryable and caught.value.committed == "no"
        assert "clock" in caught.value.why and "recovery took it" not in caught.value.why
        assert any(one.level == "warning" and "closed for" in one.what and one.fix for one in tm.doctor())
        clock.advance(2 * DAYS)
        put("later")
    assert not tm.in_doubt()
    assert not any("closed for" in one.what for one in tm.doctor())
    tm.close()
    found = [{path.name for path in (tmp_path / name).iterdir() if path.is_file()} for name in NAMES]
    assert found[0] == found[1] == {"before", "stepped", "back" if days < 0 else "later"}


def test_a_closed_log_in_a_database(bank: Bank) -> None:  # noqa: F811
    """Where the anchor's own COMMIT meets the floor, too: not in the words of the constraint that stopped it."""
    if isinstance(bank.log, FileDecisionLog):
        return
    with bank.tm.begin() as tx:
        both(tx, 1)
    engine: Any = bank.outside["payments"]
    far = f"{int((time.time() + 2 * DAYS) * 1000):012x}"
    with engine.begin() as db:
        db.execute(text(f"UPDATE shop_rk_tpc_meta SET floor = '{far}' || substr(floor, 13)"))
    with pytest.raises(TransactionAborted, match="closed for transactions begun before") as caught:
        with bank.tm.begin() as tx:
            both(tx, 2)
    assert not caught.value.retryable and "clock" in caught.value.why
    assert bank.rows == ([1], [1]) and bank.prepared == 0
