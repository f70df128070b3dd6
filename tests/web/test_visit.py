"""A carrier by hand, as where there is no ASGI and no WSGI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from regionkit import RegionKit, RegionUnavailable, StaleRead, UsageError
from regionkit.embedded import MemoryRegions
from regionkit.facts.bookmark import Signer
from regionkit.web import Carrier, Cookie, Visit

KEY = "a key of more than sixteen characters"


@pytest.fixture
def regions() -> Iterator[MemoryRegions]:
    with MemoryRegions(store="orders", primary="us", replicas=["kr"]) as made:
        yield made


@pytest.fixture
def kit(regions: MemoryRegions) -> Iterator[RegionKit]:
    with RegionKit(regions.topology, local="kr", bookmark_keys=[KEY]) as made:
        made.create_tables()
        yield made


def put(visit: Visit) -> None:
    with visit.session.write("orders") as db:
        db["a"] = 1


def got(visit: Visit) -> Any:
    with visit.session.read("orders") as db:
        return db.get("a")


def test_from_the_headers_of_a_request_to_those_of_its_answer(kit: RegionKit, regions: MemoryRegions) -> None:
    """Names in any letters; the session is not the current one until it is entered."""
    carrier = Carrier(kit, cookie=Cookie())
    first = carrier.begin([("Host", "shop")])
    assert kit.current_session() is None
    assert first.headers([("X", "y")]) == [("X", "y")]
    put(first)
    regions.lag = 3600.0
    with first.session:
        put(first)
    headers = first.headers([("X", "y"), ("cache-control", "public")])
    assert [n for n, _ in headers] == ["X", "Vary", "Cache-Control", "Region-Bookmark", "Set-Cookie"]
    found = dict(headers)
    assert got(carrier.begin([("REGION-BOOKMARK", found["Region-Bookmark"])])) == 1
    assert got(carrier.begin([("cookie", found["Set-Cookie"].partition(";")[0])])) == 1


async def test_a_sync_session_in_asyncio(kit: RegionKit) -> None:
    """Its bookmark may ask a server: that is done in a thread."""
    visit = Carrier(kit).begin([])
    got(visit)
    assert not visit.session.standing().settled
    assert "Region-Bookmark" in dict(await visit.headers_async([]))
    put(visit)
    assert visit.session.standing().settled
    assert "Region-Bookmark" in dict(await visit.headers_async([]))


def test_an_owner_that_is_away_delays_what_was_lost_and_fails_no_answer(kit: RegionKit, regions: MemoryRegions) -> None:
    """The answer carries what it can; the next one says what survived."""
    regions.lag = 3600.0
    carrier = Carrier(kit)
    first = carrier.begin([])
    put(first)
    lost = dict(first.headers([]))["Region-Bookmark"]
    regions.promote("kr")
    second = carrier.begin([("Region-Bookmark", lost)])
    with pytest.raises(StaleRead):
        got(second)

    def away() -> None:
        raise RegionUnavailable("away")

    second.session.accept_loss = away
    again = carrier.begin([("Region-Bookmark", dict(second.headers([]))["Region-Bookmark"])])
    with pytest.raises(StaleRead):
        got(again)
    assert got(carrier.begin([("Region-Bookmark", dict(again.headers([]))["Region-Bookmark"])])) is None


def test_an_open_write_is_refused_and_its_block_named(kit: RegionKit) -> None:
    """The error names the store and what to do."""
    visit = Carrier(kit).begin([])
    with visit.session.write("orders"), pytest.raises(UsageError, match="'orders' is open"):
        visit.headers([])


def test_a_closed_kit_begins_no_visit(kit: RegionKit) -> None:
    """As `kit.session` says it."""
    carrier = Carrier(kit)
    kit.close()
    with pytest.raises(UsageError, match="closed"):
        carrier.begin([])


def test_signers_that_read_each_other() -> None:
    """The same key as the newest of the other, in the same namespace."""
    one, rotated = Signer("shop", [KEY]), Signer("shop", ["newer " + KEY, KEY])
    assert one.reads(one) and rotated.reads(one) and not one.reads(rotated)
    assert (
        not one.reads(Signer("other", [KEY]))
        and not one.reads(Signer("shop", []))
        and not Signer("shop", []).reads(one)
    )
