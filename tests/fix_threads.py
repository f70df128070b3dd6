"""Which stores the tests of messaging in threads have, where each server would prove nothing new.

The generated half of a pair sends the statements of its source through other drivers. Every store passes the contract of inboxes,
claims and sources (`test_inboxes`, `test_claims`, `test_sources`); what a consumer, a relay or a call does above them is shown
over each server in asyncio, and in threads over what needs none, or few. Some of these
run in threads only: `fix_halves`. On servers threads are killed in
`tests/faults/test_consumer_killed.py`, die and freeze in `test_*_processes.py` and `test_zombies.py`.
"""

from __future__ import annotations

import os

import pytest

WHOLE = os.environ.get("REGIONKIT_MESSAGING") == "whole"
IN_THREADS = {  # by module: a parameter, and what it is there
    **dict.fromkeys(
        ("test_chaos", "test_consumer", "test_hospital", "test_outbox", "test_relay"), ("accounts", ("sqlite", "mysql"))
    ),
    "test_batches": ("server", ("sqlite",)),
    "test_janitor": ("server", ("postgresql",)),  # which has days
    "test_idempotent": ("anywhere", ("memory", "redis")),
}


@pytest.hookimpl(tryfirst=True)  # before marks are read
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that says itself over which stores it runs keeps them."""
    if WHOLE or not metafunc.module.__name__.rpartition(".")[0].endswith("messaging"):
        return
    name, stores = IN_THREADS.get(metafunc.module.__name__.rpartition(".")[2], ("", ()))
    own = [mark for mark in metafunc.definition.iter_markers("parametrize") if name in mark.args[0]]
    if name in metafunc.fixturenames and not own:
        metafunc.definition.add_marker(pytest.mark.parametrize(name, stores, indirect=True))
