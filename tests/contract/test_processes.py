"""A session that goes to and fro between two processes by its bookmark: each reads what the other wrote last, then writes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from typing import Any

import pytest
from fix_store_rigs import BACKENDS, StoreRig

from regionkit import RegionKit, Topology
from regionkit.embedded import MemoryRegions

KEY = "a key of more than sixteen characters"
ROUNDS = 10
PATIENT = {"base": "gentle", "read_deadline": 30.0, "write_deadline": 30.0}
IN_ONE_PROCESS = "memory"


def turn(kit: RegionKit, do: Any, number: int, bookmark: str) -> str:
    """Read what the last turn wrote, write the next; the bookmark after it."""
    with kit.session(bookmark=bookmark or None) as s:
        with s.read("orders") as db:
            found = do.get(db, "a")
        assert found == (str(number - 1) if number else None), f"turn {number} found {found}"
        with s.write("orders") as db:
            do.put(db, "a", str(number))
        return s.bookmark()


def other_process(topology: Topology, local: str, do: Any, pipe: Any) -> None:
    """Take every second turn, in a region of its own."""
    with RegionKit(topology, local=local, bookmark_keys=[KEY], profile=PATIENT) as kit:
        while True:
            try:
                number, bookmark = pipe.recv()
            except EOFError:
                return
            pipe.send(turn(kit, do, number, bookmark))


@pytest.mark.parametrize("store_rig", [b for b in BACKENDS if b != IN_ONE_PROCESS], indirect=True)
def test_a_session_goes_to_and_fro_between_processes(store_rig: StoreRig) -> None:
    """Ten turns, the copy of one region held in the last half: no turn misses the one before."""
    levels = {"options": {"write_level": "QUORUM", "read_level": "QUORUM"}} if store_rig.server == "cassandra" else {}
    topology, do = store_rig.topology(**levels), store_rig.Actions
    here, there = [region.name for region in topology.regions][:2]
    context = multiprocessing.get_context("spawn")
    pipe, end = context.Pipe()
    other = context.Process(target=other_process, args=(topology, there, do, end))
    other.start()
    end.close()
    try:
        with (
            RegionKit(topology, local=here, bookmark_keys=[KEY], profile=PATIENT) as kit,
            contextlib.ExitStack() as stack,
        ):
            kit.create_tables()
            bookmark = ""
            for number in range(ROUNDS):
                if number == ROUNDS // 2 and getattr(store_rig, "holds", True):
                    stack.enter_context(store_rig.held())
                if number % 2:
                    pipe.send((number, bookmark))
                    assert pipe.poll(60), "the other process said nothing"
                    bookmark = pipe.recv()
                else:
                    bookmark = turn(kit, do, number, bookmark)
    finally:
        pipe.close()
        other.join(30)
    assert store_rig.value("a") == str(ROUNDS - 1)


def test_children_of_an_unused_kit_begin_at_different_copies() -> None:
    """A server that loads its application and then forks: each worker draws chances of its own, and holds its own locks."""
    with (
        MemoryRegions(store="orders", primary="us", replicas=["kr"]) as regions,
        RegionKit(regions.topology, local="kr") as kit,
    ):
        mine = kit._store("orders").shards[0].state._starts
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            kit._started()
            os.write(write, repr(kit._store("orders").shards[0].state._starts).encode())
            os._exit(0)
        os.waitpid(child, 0)
        theirs = os.read(read, 999).decode()
        os.close(read)
        os.close(write)
        assert theirs not in ("", repr(mine))
