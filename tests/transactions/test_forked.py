"""A child that is forked while its parent recovers, and that only recovers itself. Of threads: a loop is never forked."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline

from .memory_rig import MemoryRig


def in_child(work: Callable[[], bool]) -> None:
    """Whether it went well there, within a bound."""
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    end = time.monotonic() + 20.0
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    raise AssertionError("the child hangs")


def waiting(rig: MemoryRig, what: str, step: str) -> None:
    end = time.monotonic() + 20.0
    while step not in getattr(rig, what).faults.seen:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_run_of_the_parents_is_not_waited_for() -> None:
    """It never ends in the child."""
    rig = MemoryRig()
    rig.accounts.faults.plan("open", "block")
    running = threading.Thread(target=lambda: rig.tm.recover(timeout=15.0))
    running.start()
    waiting(rig, "accounts", "open")
    in_child(lambda: rig.tm.in_doubt(timeout=3.0) == ())
    rig.accounts.faults.release()
    running.join(20.0)


def test_a_look_of_the_parents_is_not_waited_for() -> None:
    """The same of a participant's first look."""
    rig = MemoryRig()
    rig.accounts.faults.plan("open", "block")
    running = threading.Thread(target=rig.transfer)
    running.start()
    waiting(rig, "accounts", "open")
    in_child(lambda: rig.transfer(timeout=3.0).outcome.name == "COMMITTED")
    rig.accounts.faults.release()
    running.join(20.0)


def test_the_parents_transactions_are_not_at_work_in_the_child() -> None:
    """What it finds decided it ends, and shows."""
    rig = MemoryRig()
    rig.log.beat(30.0, Deadline(SYSTEM_CLOCK, 10.0))
    rig.payments.faults.plan("finish", "block")
    tx = rig.transfer(ack="decided", settle=30.0)
    waiting(rig, "payments", "finish")
    in_child(lambda: rig.tm.recover(timeout=5.0).committed == 1 and rig.prepared == [])
    rig.payments.faults.release()
    assert tx.wait_settled(10.0)
