"""What a caller is told when the shared tier does not take something: what happened, why, what to do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fix_servers import entered

from regionkit.caching import TTL, AsyncCache, Lazy, Shared, WriteThrough
from regionkit.caching.events import SharedDown
from regionkit.core.concurrency_async import asleep
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


def caches(url: str) -> tuple[AsyncCache[str], AsyncCache[str], AsyncCache[str]]:
    """One of each strategy."""
    tiers = [Shared(url)]
    plain = AsyncCache("plain", str, strategy=TTL(ttl=60), tiers=tiers)
    lazy = AsyncCache("lazy", str, strategy=Lazy(load=lambda key: "v", ttl=60), tiers=tiers)
    through = WriteThrough(load=lambda key: "v", store=lambda key, value: None, ttl=60)
    return plain, lazy, AsyncCache("through", str, strategy=through, tiers=tiers)


async def told(url: str) -> dict[str, CacheError]:
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
                await call()
            errors[verb + turn] = raised.value
    for cache in (plain, lazy, through):
        await cache.close()
    return errors


async def test_nobody_listens() -> None:
    """What is told later says so; what is not, says who has to."""
    errors = await told(NOBODY)
    for verb, error in errors.items():
        assert ".." not in str(error), verb
        assert (error.retryable, error.committed) == (True, "no"), verb
    assert errors["invalidate again"].fix.startswith("nothing: it is repeated until the tier answers.")
    assert errors["set again"].fix.startswith("set it again when the tier answers.")
    assert errors["expire"].fix.startswith("expire it again when the tier answers.")
    assert errors["put"].fix.startswith("try again when the tier answers")


@pytest.mark.parametrize(
    ("rule", "grants", "late"),
    [
        ("-eval -evalsha", "+evalsha", False),
        ("-evalsha", "+evalsha", True),
        ("-get", "+get", True),
        ("-xread", "+xread", False),
        ("-hincrby", "+", True),  # in a script: from Redis 7 on the server does not say which
        ("resetkeys ~other:*", "~regionkit:rk:*", False),
    ],
)
async def test_the_account_lacks_a_right(
    own_redis: Any, monkeypatch: pytest.MonkeyPatch, rule: str, grants: str, late: bool
) -> None:
    """From the beginning, or taken away while it works: the error names the right to grant, gets go on, events do not flap."""
    server, found = own_redis(), []
    url = server.primary.url.replace("redis://", "redis://app:word@")
    strategy = Lazy(load=lambda key: f"of {key}", ttl=60)
    with server.primary.client() as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">word", "~*", "&*", "+@all")
        async with AsyncCache("a", str, strategy=strategy, tiers=[Shared(url, timeout=2.0)]) as cache:
            monkeypatch.setitem(type(cache.tier)._fell.__globals__, "DENIED", 1.0)  # type: ignore[attr-defined]
            cache.subscribe(found.append)
            if late:
                assert await cache.get("before") == "of before"
            admin.execute_command("ACL", "SETUSER", "app", *rule.split())
            error = await refused(cache)
            assert (error.retryable, "permission" in error.why or "can't run" in error.why) == (False, True), error
            assert f"ACL SETUSER app {grants}" in error.fix, error
            assert " refuses" in error.why or "does not answer" not in error.why, error
            end = time.monotonic() + 0.8
            while time.monotonic() < end:
                assert await cache.get("a") == "of a"
                await asleep(0.01)
            assert sum(isinstance(event, SharedDown) for event in found) == 1, found
            admin.execute_command("ACL", "SETUSER", "app", "allkeys", "+@all")
            end = time.monotonic() + 30.0
            while (await cache.lookup("a")).tier != "shared":
                assert time.monotonic() < end
                await asleep(0.05)


async def refused(cache: AsyncCache[str]) -> CacheError:
    """The error of the first invalidation that is refused."""
    end = time.monotonic() + 30.0
    while True:
        try:
            await cache.get("a")
            await cache.invalidate("a")
        except CacheError as error:
            return error
        assert time.monotonic() < end
        await asleep(0.02)


async def test_the_password_is_wrong(guarded: str) -> None:
    """Waiting is no use, and the account is what to look at."""
    for verb, error in (await told(guarded)).items():
        assert ".." not in str(error), verb
        assert "password" in error.why, verb
        assert error.retryable is False, verb
        assert "account" in error.fix or "password" in error.fix, (verb, error.fix)
