"""The decision against a hidden truth: whatever happens to the servers, no read misses what it must see."""

from __future__ import annotations

import pytest

from .cluster import Cluster


@pytest.mark.parametrize("block", range(8))
def test_no_read_misses_what_its_session_saw_or_its_bound_promises(
    block: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Random lives of a cluster with splits, restarts and rewinds; each read that is served has what it must have."""
    caplog.set_level("CRITICAL", "regionkit")
    served = {"session": 0, "bounded": 0, "write": 0, "refused": 0}
    for seed in range(block * 100, block * 100 + 100):
        cluster = Cluster(seed)
        for _ in range(120):
            cluster.step()
        served = {name: count + cluster.served[name] for name, count in served.items()}
    assert min(served.values()) > 25, f"the lives are too dull to prove anything: {served}"
