"""Which servers are as durable as a mode says, and what the others are told to set."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from regionkit.caching import FileJournal, SqlJournal, WriteBack
from regionkit.caching.back.modes import MODES, Facts, durably, facts_of, judged, mode_named, wait_of
from regionkit.errors import CacheError, ConfigurationError

GOOD = {"aof": True, "wrote": True, "policy": "noeviction", "replicas": 1, "fsync": "always", "least_replicas": 1}


def facts(**changed: Any) -> Facts:
    """Of a server that serves every mode, but for this."""
    return Facts(**{**GOOD, "waits": True, **changed})


@pytest.mark.parametrize("mode", MODES)
def test_a_server_with_everything_serves_every_mode(mode: str) -> None:
    """And nothing is assumed."""
    assert judged(MODES[mode], facts(), replicas=1, assume=None) == ""


@pytest.mark.parametrize(
    ("mode", "changed", "fix"),
    [
        *((mode, {"policy": "allkeys-lru"}, "maxmemory-policy noeviction") for mode in MODES),
        *((mode, {"aof": False}, "appendonly yes") for mode in ("aof-everysec", "aof-always", "aof-wait")),
        ("aof-always", {"fsync": "everysec"}, "appendfsync always"),
        ("aof-everysec", {"fsync": "no"}, "appendfsync everysec"),
        ("aof-wait", {"fsync": "no"}, "appendfsync everysec"),
        ("aof-wait", {"waits": False}, 'durability="aof-always"'),
        ("replicated", {"least_replicas": 0}, "min-replicas-to-write 1"),
        ("aof-always", {"fsync": ""}, 'assume="aof-always"'),
        ("replicated", {"least_replicas": None}, 'assume="replicated"'),
        ("memory", {"policy": ""}, 'assume="memory"'),
    ],
)
def test_a_server_that_is_set_otherwise_is_refused_with_what_to_set(mode: str, changed: Any, fix: str) -> None:
    """By the name of the setting."""
    with pytest.raises(ConfigurationError) as raised:
        judged(MODES[mode], facts(**changed), replicas=1, assume=None)
    assert fix in raised.value.fix


@pytest.mark.parametrize("changed", [{"fsync": ""}, {"policy": ""}])
def test_what_is_not_told_may_be_assumed_and_nothing_else(changed: Any) -> None:
    """What is told otherwise is refused all the same."""
    always = MODES["aof-always"]
    assert judged(always, facts(**changed), replicas=1, assume="aof-always") in ("appendfsync", "maxmemory-policy")
    with pytest.raises(ConfigurationError):
        judged(always, facts(**changed, aof=False), replicas=1, assume="aof-always")


@pytest.mark.parametrize(("mode", "changed"), [("aof-always", {"wrote": False}), ("replicated", {"replicas": 0})])
def test_a_server_that_is_not_well_is_tried_again(mode: str, changed: Any) -> None:
    """It is set as it should be."""
    with pytest.raises(CacheError) as raised:
        judged(MODES[mode], facts(**changed), replicas=1, assume=None)
    assert (raised.value.retryable, raised.value.committed) == (True, "no")


def test_what_is_no_mode_is_refused_by_name() -> None:
    """With those that there are."""
    for name in ("always", None, 5):
        with pytest.raises(ConfigurationError, match="aof-always"):
            mode_named(name)


def test_a_short_count_is_no_proof() -> None:
    """Nor is an error."""
    wait, replicated = MODES["aof-wait"], MODES["replicated"]
    assert wait_of(wait, 1, 500) == ("WAITAOF", 1, 0, 500)
    assert wait_of(replicated, 2, 500) == ("WAIT", 2, 500)
    assert wait_of(MODES["memory"], 1, 500) == ()
    assert [durably(wait, 1, answer) for answer in ([1, 0], [0, 1], ValueError(), None)] == [True, False, False, False]
    assert [durably(replicated, 2, answer) for answer in (2, 3, 1, ValueError())] == [True, True, False, False]


def test_info_tells_without_config_what_it_can() -> None:
    """An account that may not ask for settings."""
    told = facts_of(
        {
            "aof_enabled": "1",
            "aof_last_write_status": "err",
            "maxmemory_policy": "noeviction",
            "connected_slaves": "2",
            "min_slaves_good_slaves": "2",
        },
        None,
        None,
    )
    assert told == Facts(True, False, "noeviction", 2, "", 1, None)


def test_a_mode_with_a_journal_needs_one_of_its_kind_and_no_other_mode_has_one(tmp_path: Path) -> None:
    """Refused when the strategy is made."""
    sink: Any = SimpleNamespace(flush=print, raise_epoch=print)
    files, rows = FileJournal(tmp_path), SqlJournal(object())
    for mode, journal in (("journal", None), ("journal", rows), ("sql-journal", files), ("memory", files)):
        with pytest.raises(ConfigurationError, match="journal"):
            WriteBack(sink=sink, durability=mode, journal=journal, ttl=1.0, load=str)
    for mode, journal in (("journal", files), ("sql-journal", rows), ("memory", None)):
        assert WriteBack(sink=sink, durability=mode, journal=journal, ttl=1.0, load=str).journal is journal
    for wrong in (
        lambda: FileJournal(""),
        lambda: FileJournal(tmp_path, max_bytes=5),
        lambda: SqlJournal(1, max_rows=0),
    ):
        with pytest.raises(ConfigurationError):
            wrong()
