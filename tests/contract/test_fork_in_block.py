"""A child that is forked inside of a block: the block stays the parent's, whatever the child does."""

from __future__ import annotations

import os
import traceback

import pytest
from fix_store_rigs import BACKENDS, StoreRig
from waiting import arrived

from regionkit import RegionKit, UsageError

HERE = "us-east-1"
SAYS = "child process of the one that opened it"

pytestmark = pytest.mark.parametrize("store_rig", [b for b in BACKENDS if b != "memory"], indirect=True)


@pytest.mark.parametrize("leaves", ["exit", "error", "end", "statement"])
def test_what_a_child_does_in_its_parents_block_stays_without_effect(store_rig: StoreRig, leaves: str) -> None:
    """It leaves the block by exit, an error or its end, or tries a statement: nothing is sent, and the parent goes on."""
    do = store_rig.Actions
    local = HERE if HERE in [r.name for r in store_rig.topology().regions] else store_rig.topology().regions[0].name
    with RegionKit(store_rig.topology(), local=local) as kit:
        kit.create_tables()
        parent, failed = os.getpid(), ""
        child = 0
        try:
            with kit.session() as s, s.write("orders") as db:
                do.put(db, "a", "1")
                child = os.fork()
                if child == 0:
                    if leaves == "exit":
                        raise SystemExit(0)
                    if leaves == "error":
                        raise ValueError
                    if leaves == "statement":
                        with pytest.raises(UsageError, match=SAYS):
                            do.put(db, "b", "2")
                else:
                    _, status = os.waitpid(child, 0)
                    failed = "" if status == 0 else f"the child ended with {status}"
                    do.put(db, "c", "3")
        except BaseException as error:
            if os.getpid() == parent:
                raise
            right = {"exit": SystemExit, "error": ValueError}.get(leaves, UsageError)
            if not isinstance(error, right) or (right is UsageError and SAYS not in str(error)):
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert os.getpid() == parent or os._exit(2)  # type: ignore[func-returns-value]  # the child got here
        assert failed == ""
        assert [store_rig.value(key) for key in "abc"] == ["1", None, "3"]
        arrived(kit, store_rig, "1")
