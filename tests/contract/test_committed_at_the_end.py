"""SIGINT at the end of a write block: the exception says whether the block took effect. Signals come to threads only: no twin."""

from __future__ import annotations

import signal

import pytest
from fix_store_rigs import StoreRig

from regionkit import RegionKit


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_around_the_commit_says_whether_it_stands(store_rig: StoreRig, when: str) -> None:
    """Right before COMMIT is sent, or right after it was answered; where nothing is rolled back, both times it stands."""
    do = store_rig.Actions
    with RegionKit(store_rig.topology(), local=store_rig.topology().regions[0].name) as kit:
        kit.create_tables()
        can = kit._store("orders").shards[0].capabilities
        assert can is not None
        s = kit.session()
        with pytest.raises(KeyboardInterrupt) as caught, s.write("orders") as db:
            do.put(db, "a", "tea")
            _interrupted(s._state.last.handle, when)  # type: ignore[union-attr]  # a block is open
        stands = when == "after" or not can.transactions
        assert caught.value.committed == ("yes" if stands else "no")  # type: ignore[attr-defined]  # set on its way
        assert store_rig.value("a") == ("tea" if stands else None)
        assert (s.bookmark() != "") is stands


def _interrupted(handle: object, when: str) -> None:
    """Ctrl-C while the block ends."""
    kind = type(handle)

    class Interrupted(kind):  # type: ignore[misc, valid-type]  # of the backend at hand
        __slots__ = ()

        def finish(self) -> None:
            if when == "before":
                signal.raise_signal(signal.SIGINT)
            kind.finish(self)
            signal.raise_signal(signal.SIGINT)

    handle.__class__ = Interrupted
