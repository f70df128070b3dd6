"""The test of a module is found by its name: `regionkit/ROOM/x.py` is tested by `tests/ROOM/test_x.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("core", "facts", "topology", "routing", "caching", "messaging", "web")
TYPES_ONLY = "it declares types: there is nothing to run"
ELSEWHERE = {
    "topology/names": "topology/test_topology.py",
    "web/claims": "web/test_wsgi.py",  # two kits, readiness; and web/test_asgi.py
    "topology/url_parts": "topology/test_urls.py",  # the parts are what its URLs are made of
    "topology/client_endpoints": "topology/test_stores.py",
    "topology/client_options": "topology/test_options.py",
    "topology/memory_store": "topology/test_loading.py",  # a store of each backend, its keys and its mistakes
    "topology/redis_store": "topology/test_loading.py",
    "topology/mongo_store": "topology/test_loading.py",
    "topology/cassandra_store": "topology/test_loading.py",
    "routing/supporting": "routing/test_capability_checks.py",
    "routing/fanned": "routing/test_fanout.py",
    "routing/loss": "routing/test_session.py",  # `accept_loss`
    "routing/backing": "contract/test_units.py",  # every backend passes it
    "routing/branch_places": "transactions/test_in_kit.py",  # and a promotion: transactions/test_in_kit_promoted.py
    "routing/session_transaction": "transactions/test_in_kit.py",
    "routing/unit": "contract/test_units.py",
    "routing/copies": "messaging/test_relay_replicated.py",  # and a promotion without a kit: messaging/test_outbox_failover.py
    "routing/partitions": "contract/test_partitioning.py",  # every backend passes it
    "caching/account_shared": "caching/test_cache_faults.py",  # servers that die, freeze, forget and fill up
    "caching/cache_changes": "caching/test_cache.py",
    "caching/calls": "caching/test_cache.py",  # what is no key and no time, verbs of a closed cache
    "caching/counters": "caching/test_cache.py",
    "caching/ear": "caching/test_cache_faults.py",  # news that were trimmed, deleted, renumbered
    "caching/fetch": "caching/test_cache.py",
    "caching/hearing_shared": "caching/test_tracking_shared.py",  # a closed cache hears no more, nor does a parent's child
    "caching/glance": "caching/test_fast_lane_shared.py",
    "caching/journals": "caching/back/test_modes.py",  # what is no journal of a mode
    "caching/intents_sql": "caching/test_sweep.py",
    "caching/forks": "caching/test_cache_processes.py",
    "caching/kept_tables": "caching/test_write_through.py",
    "caching/ledger_tier": "caching/test_cache.py",  # each of its tests, over a local tier alone
    "caching/loads": "caching/test_cache.py",  # loads in loads, timeouts, room
    "caching/lookup": "caching/test_cache.py",
    "caching/making": "caching/test_tiers.py",
    "caching/many": "caching/test_cache.py",
    "caching/memcached_line": "caching/test_memcached.py",
    "caching/memcached_link": "caching/test_memcached.py",
    "caching/outcome": "caching/test_cache.py",  # what loaders answer
    "caching/replies_shared": "caching/test_scripts.py",
    "caching/schema_cassandra": "caching/back/test_sink_cassandra.py",
    "caching/schema_mongo": "caching/back/test_sink_mongo.py",
    "caching/schema_sql": "caching/test_write_through.py",
    "caching/source": "caching/test_cache.py",
    "caching/store_source": "caching/test_in_kit.py",
    "caching/strategies": "caching/test_tiers.py",
    "caching/tail": "caching/test_tail_histories.py",
    "messaging/admitting": "messaging/test_consumer.py",  # what is no message, out of its time, or failed
    "messaging/applying": "messaging/test_consumer.py",
    "messaging/binding": "messaging/test_idempotent.py",  # defaults, self, keywords
    "messaging/case": "messaging/test_hospital_rules.py",
    "messaging/cipher": "messaging/test_hospital.py",  # sealed, in plain, of another key
    "messaging/claiming": "messaging/test_claims.py",  # every store
    "messaging/clinic": "messaging/test_hospital.py",
    "messaging/columns_sql": "messaging/test_inboxes.py",  # bytes that are told apart on each server
    "messaging/consumer_options": "messaging/test_consumer.py",  # mistakes are told before a message is taken
    "messaging/counters": "messaging/test_consumer.py",  # each test counts
    "messaging/elsewhere": "messaging/test_in_kit.py",
    "messaging/envelope": "messaging/test_consumer.py",  # what is no message, ids of any form, bad numbers
    "messaging/events": "messaging/test_relay.py",  # and of consumers: test_hospital
    "messaging/fast_handlers": "messaging/test_batches.py",
    "messaging/fingerprint": "messaging/test_idempotent.py",  # dictionaries in any order, objects
    "messaging/handlers": "messaging/test_outside.py",  # what cannot work together
    "messaging/heart": "messaging/test_decorator.py",  # and in processes that freeze: test_zombies
    "messaging/hospital_asking": "messaging/test_hospital.py",  # listings have limits and filters
    "messaging/hospital_reads": "messaging/test_hospital.py",
    "messaging/hospital_views": "messaging/test_hospital_rules.py",
    "messaging/inbox_days_sql": "messaging/test_janitor.py",
    "messaging/inbox_tables_mongo": "messaging/test_inboxes.py",
    "messaging/inbox_tables_sql": "messaging/test_inboxes.py",
    "messaging/kept_tables": "messaging/test_inboxes.py",
    "messaging/keyed_call": "messaging/test_idempotent.py",
    "messaging/lanes": "messaging/test_consumer.py",
    "messaging/options": "messaging/test_idempotent.py",  # wrong decorations are told where they stand
    "messaging/outbox_documents_mongo": "messaging/test_outbox_mongo.py",
    "messaging/outbox_event": "messaging/test_outbox.py",  # what cannot be published is refused at once
    "messaging/outbox_facts": "messaging/test_relay.py",  # what holds and what wants looking at
    "messaging/outbox_sql": "messaging/test_outbox.py",
    "messaging/outbox_tables_sql": "messaging/test_outbox.py",
    "messaging/own_loop": "messaging/test_zombies.py",  # in a kit leases are kept alive too
    "messaging/queue_tables_sql": "messaging/test_sql_queue.py",
    "messaging/relay_lane": "messaging/test_relay.py",
    "messaging/relay_lease": "messaging/test_relay.py",  # one at a time, and zombies
    "messaging/relay_sql": "messaging/test_relay.py",
    "messaging/relay_mongo": "messaging/test_outbox_mongo_faults.py",  # elections, kills, zombies
    "messaging/results": "messaging/test_idempotent.py",  # what is kept, what cannot be
    "messaging/router": "messaging/test_outbox.py",  # a router names the destination
    "messaging/running": "messaging/test_consumer.py",
    "messaging/runs": "messaging/test_transaction.py",  # what handlers do to their transaction
    "messaging/scope_key": "messaging/test_idempotent.py",  # keys keep their types
    "messaging/statement_sql": "messaging/test_batches.py",
    "messaging/stations": "messaging/test_in_kit.py",
    "messaging/store_clock": "messaging/test_inboxes.py",  # what every inbox reads its time from
}
"""Modules whose test has another name, and which."""
WITHOUT = {
    "facts/record": TYPES_ONLY,
    "facts/request": TYPES_ONLY,
    "facts/stamp": TYPES_ONLY,
    "routing/call_options": TYPES_ONLY,
    "routing/route": TYPES_ONLY,
    "routing/session_standing": TYPES_ONLY,
    "routing/verdict": TYPES_ONLY,
    "topology/cassandra_client": TYPES_ONLY,
    "caching/inside": TYPES_ONLY,
    "caching/parts": TYPES_ONLY,
    "caching/steps": TYPES_ONLY,
    "caching/tier": TYPES_ONLY,
}
"""Modules without a test, and why."""


def modules() -> list[str]:
    """`room/name` of every module; an async source stands for its twin too."""
    found = [p for room in ROOMS for p in (ROOT / "regionkit" / room).glob("*.py") if p.stem != "__init__"]
    return sorted({f"{p.parent.name}/{p.stem.removesuffix('_async')}" for p in found})


@pytest.mark.parametrize("module", modules())
def test_a_module_has_the_test_of_its_name(module: str) -> None:
    """Or stands in one of the two lists, and in one only."""
    room, name = module.split("/")
    own = [ROOT / "tests" / room / f"test_{name}{form}.py" for form in ("", "_async")]
    listed = [table for table in (ELSEWHERE, WITHOUT) if module in table]
    if any(path.exists() for path in own):
        assert not listed, f"{module} has a test of its own: take it off the list"
    else:
        assert len(listed) == 1, f"write tests/{room}/test_{name}.py"


@pytest.mark.parametrize("module", [*ELSEWHERE, *WITHOUT])
def test_an_exception_is_of_something_that_is_there(module: str) -> None:
    """The module, and the test that is named instead."""
    assert (ROOT / "regionkit" / f"{module}.py").exists()
    assert module not in ELSEWHERE or (ROOT / "tests" / ELSEWHERE[module]).exists()


def test_a_backends_tests_stand_in_its_folder() -> None:
    """Only what is about all of them stands above."""
    above = {path.name for path in (ROOT / "tests" / "backends").glob("test_*.py")}
    assert above == {"test_advice.py", "test_capabilities.py"}
    for folder in (ROOT / "tests" / "backends").iterdir():
        assert (
            not folder.is_dir()
            or folder.name == "__pycache__"
            or (ROOT / "regionkit" / "backends" / folder.name).is_dir()
        )
