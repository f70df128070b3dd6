# Generated from test_shared_down_async.py by scripts/twins.py. Do not edit.
"""What a caller is told when the shared tier does not take something: what happened, why, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fix_servers import entered

from regionkit.caching import TTL, Cache, Lazy, Shared, WriteThrough
from regionkit.errors import CacheError
from regionkit.testing import servers

NOBODY = "redis://127.0.0.1:1"


@pytest.fixture
def guarded() -> Iterator[str]:
    """The URL of a server that asks for a password, without one."""
    with ExitStack() as stack:
        node = entered(stack, servers.redis()).nodes[0]
        with node.client() as admin:
            admin.execute_command("ACL", "SETUSER", "guarded", "on", ">right", "~*", "&*", "+@all")
        yield node.url.replace("redis://", "redis://guarded:wrong@")


def caches(url: str) -> tuple[Cache[str], Cache[str], Cache[str]]:
    """One of each strategy."""
    tiers = [Shared(url)]
    plain = Cache("plain", str, strategy=TTL(ttl=60), tiers=tiers)
    lazy = Cache("lazy", str, strategy=Lazy(load=lambda key: "v", ttl=60), tiers=tiers)
    through = WriteThrough(load=lambda key: "v", store=lambda key, value: None, ttl=60)
    return plain, lazy, Cache("through", str, strategy=through, tiers=tiers)


def told(url: str) -> dict[str, CacheError]:
    """By verb, what is raised; each twice, as the second call finds the tier known to be down."""
    plain, lazy, through = caches(url)
    errors: dict[str, CacheError] = {}
    calls: dict[str, Any] = {
        "set": lambda: plain.set("a", "v"),
        "invalidate": lambda: lazy.invalidate("a"),
        "expire": lambda: lazy.expire("a"),
        "put": lambda: through.put("a", "v"),
    }
    for verb, call in calls.items():
        for turn in ("", " again"):
            with pytest.raises(CacheError) as raised:
                call()
            errors[verb + turn] = raised.value
    for cache in (plain, lazy, through):
        cache.close()
    return errors


def test_nobody_listens() -> None:
    """What is told later says so; what is not, says who has to."""
    errors = told(NOBODY)
    for verb, error in errors.items():
        assert ".." not in str(error), verb
        assert (error.retryable, error.committed) == (True, "no"), verb
    assert errors["invalidate again"].fix.startswith("nothing: it is told again until it answers.")
    assert errors["set again"].fix.startswith("set it again when the tier answers.")
    assert errors["expire"].fix.startswith("expire it again when the tier answers.")
    assert errors["put"].fix.startswith("try again when the tier answers")


def test_the_password_is_wrong(guarded: str) -> None:
    """Waiting is no use, and the account is what to look at."""
    for verb, error in (told(guarded)).items():
        assert ".." not in str(error), verb
        assert "password" in error.why, verb
        assert error.retryable is False, verb
        assert "account" in error.fix or "password" in error.fix, (verb, error.fix)
