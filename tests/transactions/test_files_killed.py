"""A row in SQLite and a document in a folder: the process is killed at each step, and recovery ends it. Both, or neither."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.core.events import set_crash_hook
from regionkit.demo.transactions import METADATA, Office
from regionkit.transactions.participants.factory import participant_of
from regionkit.transactions.participants.files import FilesParticipant
from regionkit.transactions.points import POINTS
from regionkit.transactions.recovery import Recovery

NEVER = ("tpc.one_phase.", "tpc.bar.", "tpc.begin.", "tpc.rollback.", "tpc.decide.")
OF_FOLDER = ["files.staged", "files.prepared", "files.commit.document", "files.commit.synced", "files.commit.marked"]
SEEN = [point for point in POINTS if not point.startswith(NEVER)] + OF_FOLDER
DECIDED = ("tpc.anchor.after", "tpc.decided", "tpc.commit.", "tpc.ended", "tpc.acknowledge.", "files.commit.")


@pytest.mark.parametrize("point", SEEN)
def test_killed_at_a_point_both_or_neither(point: str, tmp_path: Path) -> None:
    """What was decided is committed, what was not is nowhere, and nothing is left in doubt."""
    office = Office(tmp_path)
    METADATA.create_all(office.engine)
    office.tm.create_tables()
    office.close()
    child = os.fork()
    if not child:
        try:
            set_crash_hook(lambda at: os.kill(os.getpid(), signal.SIGKILL) if at == point else None)
            own = Office(tmp_path)
            own.bill(7)
            own.tm.close()  # acknowledgements come late
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    office = Office(tmp_path)
    participants = {
        "orders": participant_of("orders", office.engine, namespace="office"),
        "invoices": FilesParticipant("invoices", office.folder, unsafe_place=True),
    }
    recovery = Recovery("office", office.log, participants, patience=0.0)
    for _ in range(2):
        recovery.run(Deadline(SYSTEM_CLOCK, 60.0))
    assert office.rows == office.files == ([7] if point.startswith(DECIDED) else [])
    assert office.tm.in_doubt() == ()
    office.close()
