"""A process that forks after it used Cassandra: both go on, and the child leaves the parent's connections alone."""

from __future__ import annotations

import os
import sys
import time

import pytest
from fix_rig_cassandra import CassandraActions, CassandraStoreRig

from regionkit import EVENTUAL, RegionKit

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
do = CassandraActions


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # 3.12: it is what is tested
def test_parent_and_child_go_on(cassandra_store_rig: CassandraStoreRig) -> None:
    """The child connects anew and reads; the parent's connections serve it before, meanwhile and after."""
    with RegionKit(cassandra_store_rig.topology(), local="ap-northeast-2") as kit:
        with kit.session() as s, s.write("orders") as cql:
            do.put(cql, "a", "tea")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with kit.session() as s, s.read("orders", consistency=EVENTUAL, timeout=20.0) as cql:
                    status = 0 if do.get(cql, "a") == "tea" else 2
                kit.close()
            finally:
                os._exit(status)
        end = time.monotonic() + 60.0
        while (done := os.waitpid(child, os.WNOHANG))[0] == 0:
            assert time.monotonic() < end, "the child hangs"
            with kit.session() as s, s.read("orders", consistency=EVENTUAL, timeout=20.0) as cql:
                assert do.get(cql, "a") == "tea"
        assert os.waitstatus_to_exitcode(done[1]) == 0
        with kit.session() as s, s.read("orders", consistency=EVENTUAL, timeout=20.0) as cql:
            assert do.get(cql, "a") == "tea"
