"""Tiers of caches in a topology: by value and by TOML; mistakes with their path."""

from __future__ import annotations

import pytest

from regionkit import ConfigurationError, Endpoint, RedisStore, Region, Role, Topology
from regionkit.topology import CacheTiers, parse_toml

STORES = """
[regions.here]
[stores.cache]
backend = "redis"
[[stores.cache.endpoints]]
region = "here"
role = "primary"
url = "redis://127.0.0.1:6379"
"""


def test_a_file_describes_tiers() -> None:
    """Shared and local, one of them, and variables in the name."""
    text = STORES + '[caches.users]\nshared = "${WHERE}"\nlocal = { max_items = 7 }\n[caches.other]\nlocal = {}\n'
    topology = parse_toml(text, environ={"WHERE": "cache"}).topology
    assert topology.cache_tiers("users") == CacheTiers("users", "cache", {"max_items": 7})
    assert topology.cache_tiers("other") == CacheTiers("other", None, {})
    assert topology.cache_tiers("unheard") is None


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('shared = "cash"', "not one of the Redis stores"),
        ('shard = "cache"', "unknown key"),
        ("local = { max_item = 7 }", "no option 'max_item'"),
        ("", "no tier"),
        ("shared = 7", "expected a text"),
    ],
)
def test_mistakes_are_told_with_their_path(table: str, told: str) -> None:
    """And with a near match."""
    with pytest.raises(ConfigurationError, match=told):
        parse_toml(f"{STORES}[caches.users]\n{table}\n")


def test_a_cache_is_named_once_and_like_a_namespace() -> None:
    """Its name becomes part of keys at the server."""
    store = RedisStore("cache", endpoints=[Endpoint("here", Role.PRIMARY, "redis://127.0.0.1")])
    with pytest.raises(ConfigurationError, match="twice"):
        Topology(regions=[Region("here")], stores=[store], caches=[CacheTiers("a"), CacheTiers("a")])
    with pytest.raises(ConfigurationError, match="a cache"):
        CacheTiers("Users!")
