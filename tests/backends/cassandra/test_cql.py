"""What a CQL statement is taken for; a mistake here would let a write into a read block."""

from __future__ import annotations

import pytest

from regionkit.backends.cassandra.cql import Facts, facts_of, joined
from regionkit.backends.cassandra.keyspace_state import MOST_SKEW, KeyspaceState
from regionkit.backends.cassandra.observation import Kept, decoded, encoded, reached, replication_of
from regionkit.errors import ConfigurationError, InvalidBookmark, UsageError
from regionkit.topology import CassandraOptions


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("SELECT a FROM t WHERE k = 'INSERT INTO x IF'", Facts("SELECT", ("t",))),
        ("select * from shop.t", Facts("SELECT", ("shop.t",))),
        ('-- a comment\n/* INSERT */ // more\nSELECT a FROM "Shop"."Or""ders"', Facts("SELECT", ('Shop.Or"ders',))),
        ("INSERT INTO T (a, timestamp) VALUES (1, 2)", Facts("INSERT", ("t",))),
        ("insert into t (a) values ($$ IF $$) if not exists", Facts("INSERT", ("t",), conditional=True)),
        ('UPDATE t SET "IF" = 1 WHERE k = 2', Facts("UPDATE", ("t",))),
        ("UPDATE t USING TTL 10 SET a = 1 WHERE k = 2 AND timestamp = 3", Facts("UPDATE", ("t",))),
        ("UPDATE t USING TTL ? AND TIMESTAMP ? SET a = 1 WHERE k = 2", Facts("UPDATE", ("t",), stamped=True)),
        ("DELETE a FROM t USING TIMESTAMP 5 WHERE k = 1 IF a = 2", Facts("DELETE", ("t",), True, True)),
        (
            "BEGIN BATCH INSERT INTO t (a) VALUES (1); UPDATE u SET a = 1 WHERE k = 1 IF EXISTS; APPLY BATCH",
            Facts("BEGIN", ("t", "u"), conditional=True),
        ),
        (
            "BEGIN UNLOGGED BATCH USING TIMESTAMP 1 DELETE FROM t WHERE k = 1 APPLY BATCH",
            Facts("BEGIN", ("t",), False, True),
        ),
        ("UPDATE t SET a = %(if)s WHERE k = %(using)s AND timestamp = %(into)s", Facts("UPDATE", ("t",))),
        ("UPDATE t SET a = :if WHERE k = :into", Facts("UPDATE", ("t",))),
        ("CREATE TABLE IF NOT EXISTS t (k int PRIMARY KEY)", Facts("CREATE")),
        ("USE shop", Facts("USE")),
        ("  ", Facts("")),
        ("'SELECT'", Facts("")),
    ],
)
def test_facts_are_read_off_the_text(text: str, facts: Facts) -> None:
    """Strings, comments and quoted names are no words."""
    assert facts_of(text) == facts
    assert facts_of(text).reads is (facts.keyword == "SELECT")


def test_a_batch_is_all_of_its_parts() -> None:
    """One condition or one time stamp is one of the batch."""
    parts = [facts_of("INSERT INTO a (k) VALUES (1)"), facts_of("DELETE FROM b WHERE k = 1 IF EXISTS")]
    assert joined(parts) == Facts("BEGIN", ("a", "b"), conditional=True)


def test_time_stamps_never_go_back_and_follow_the_bookmark() -> None:
    """A clock that steps back, two writes in one microsecond, a bookmark from a faster clock."""
    state = KeyspaceState()
    first = state.stamp(1000.0, 0)
    assert first == 1_000_000_000
    assert state.stamp(900.0, 0) == first + 1
    ahead = 1_000_000_000 + int(MOST_SKEW * 1e6)
    assert state.stamp(1000.0, ahead) == ahead + 1
    with pytest.raises(InvalidBookmark):
        state.stamp(1000.0, ahead + 1)
    assert state.stamp(2000.0, 0) == 2_000_000_000


def test_the_first_write_says_what_a_table_is() -> None:
    """With or without its keyspace; reads say nothing."""
    state = KeyspaceState()
    state.check(facts_of("INSERT INTO t (a) VALUES (1)"), "shop")
    state.check(facts_of("INSERT INTO other.t (a) VALUES (1) IF NOT EXISTS"), "shop")
    with pytest.raises(UsageError, match=r"conditional write to shop\.t"):
        state.check(facts_of("DELETE FROM shop.t WHERE a = 1 IF EXISTS"), "shop")
    with pytest.raises(UsageError, match=r"plain write to other\.t"):
        state.check(facts_of("DELETE FROM t WHERE a = 1"), "other")
    assert state.is_plain("t", "shop")
    assert not state.is_plain("t", "other")
    assert not state.is_plain("never", "shop")


NETWORK = "org.apache.cassandra.locator.NetworkTopologyStrategy"


def test_replication_is_read_or_refused() -> None:
    """Factors by data centre, those of none left out; transient replicas and other strategies are refused."""
    assert replication_of("shop", {"class": NETWORK, "b": "3", "a": "2", "c": "0"}) == (("a", 2), ("b", 3))
    assert decoded(encoded((("a", 2), ("b", 3)))) == (("a", 2), ("b", 3))
    for said in (None, {"class": NETWORK, "a": "3/1"}, {"class": "SimpleStrategy", "replication_factor": "3"}):
        with pytest.raises(ConfigurationError):
            replication_of("shop", said)


def test_replicas_are_compared_with_those_written_down() -> None:
    """Without a row nothing is known to have changed."""
    live, options = (("a", 3), ("b", 3)), CassandraOptions()
    assert reached("a", options, live, None).changed == ""
    assert reached("a", options, live, Kept("h", 1, live)).changed == ""
    changed = reached("a", options, live, Kept("h", 1, (("a", 3),))).changed
    assert changed.startswith("the keyspace's replicas are a: 3, b: 3, and were a: 3")
