"""Options of engines, clients and sessions: known keys, whole numbers within bounds, flags that are flags."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit.errors import ConfigurationError
from regionkit.topology import SessionOptions, SqlOptions
from regionkit.topology.client_options import CassandraOptions, MongoOptions, RedisOptions
from regionkit.topology.options import options_from


@pytest.mark.parametrize("make", [SqlOptions, SessionOptions, RedisOptions, MongoOptions, CassandraOptions])
def test_defaults_are_usable_and_a_value_is_taken_as_it_is(make: Any) -> None:
    """None, an empty mapping, and one that is made already."""
    made = make()
    assert options_from("options", make, None) == options_from("options", make, {}) == made
    assert options_from("options", make, made) is made


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (SqlOptions, {"pool_size": 0}),
        (SqlOptions, {"pool_size": True}),
        (SqlOptions, {"pool_size": 5.0}),
        (SqlOptions, {"max_overflow": -1}),
        (SqlOptions, {"pool_recycle": 0}),
        (SqlOptions, {"echo": 1}),
        (SessionOptions, {"autoflush": "yes"}),
        (SessionOptions, {"expire_on_commit": None}),
        (RedisOptions, {"protocol": 4}),
        (RedisOptions, {"decode_responses": "true"}),
        (MongoOptions, {"pool_size": 10_001}),
        (CassandraOptions, {"page_size": 0}),
        (CassandraOptions, {"write_level": "SERIAL"}),
        (CassandraOptions, {"read_level": "quorum"}),
    ],
)
def test_a_value_out_of_bounds_names_its_option(make: Any, given: dict[str, Any]) -> None:
    """Whether it is passed or comes from a mapping."""
    (name,) = given
    for build in (lambda: make(**given), lambda: options_from("options", make, given)):
        with pytest.raises(ConfigurationError, match=name):
            build()


def test_bounds_themselves_are_taken() -> None:
    """An overflow of nothing is a bound on a pool; a cache of nothing is none."""
    assert SqlOptions(pool_size=1, max_overflow=0, query_cache_size=0).max_overflow == 0
    assert SqlOptions(pool_size=10_000, pool_recycle=604_800).pool_size == 10_000


def test_an_unknown_key_and_no_mapping_are_refused() -> None:
    """With what was meant."""
    with pytest.raises(ConfigurationError, match="unknown key 'poolsize'"):
        options_from("options", SqlOptions, {"poolsize": 3})
    with pytest.raises(ConfigurationError, match="must be a mapping"):
        options_from("options", SqlOptions, 3)  # type: ignore[arg-type]  # the point
