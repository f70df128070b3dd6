"""One load a key in the process: who boards, who leads, and who starts anew."""

from __future__ import annotations

import time
from typing import Any

from regionkit.caching.flights_async import AsyncFlight, AsyncFlights
from regionkit.caching.local_table import Entry
from regionkit.core.concurrency_async import agather


def load(key: str) -> str:
    """A loader."""
    return key


def other(key: str) -> str:
    """Another."""
    return key


async def test_the_first_leads_and_the_others_take_what_it_brings() -> None:
    """An entry, or an error."""
    flights = AsyncFlights()
    for brought, error in ((Entry("a", 1), None), (None, ValueError("no"))):
        flight, leads = flights.board("a", load)
        assert leads
        followers = [flights.board("a", load) for _ in range(3)]
        assert followers == [(flight, False)] * 3

        async def lands(flight: AsyncFlight = flight, entry: Any = brought, error: Any = error) -> bool:
            flights.leave("a", load, flight)
            flight.end(entry, error)
            return True

        async def waits(flight: AsyncFlight = flight) -> bool:
            return await flight.landed(10.0)

        assert await agather([waits, waits, waits, lands]) == [True] * 4
        assert (flight.entry, flight.error) == (brought, error)
    assert not flights._flying


async def test_nobody_takes_what_another_loader_brings() -> None:
    """Nor what is loaded for another key."""
    flights = AsyncFlights()
    first, _ = flights.board("a", load)
    for key, loader in (("a", other), ("b", load), (b"sa", load)):
        flight, leads = flights.board(key, loader)
        assert leads
        assert flight is not first


async def test_after_an_invalidation_who_comes_starts_anew() -> None:
    """Those on board stay; the older flight's end does not end the newer one's boarding."""
    flights = AsyncFlights()
    for detach in (lambda: flights.detach("a"), flights.detach_all, flights.renew):
        old, _ = flights.board("a", load)
        detach()
        new, leads = flights.board("a", load)
        assert leads
        assert new is not old
        flights.leave("a", load, old)
        assert flights.board("a", load) == (new, False)
        flights.leave("a", load, new)
        assert not flights._flying


async def test_waiting_ends_at_the_waiters_own_time() -> None:
    """However long the load takes."""
    flights = AsyncFlights()
    flights.board("a", load)
    flight, leads = flights.board("a", load)
    assert not leads
    began = time.monotonic()
    assert not await flight.landed(0.05)
    assert time.monotonic() - began < 10.0
    flight.end()
    assert await flight.landed(10.0)
    assert flight.entry is flight.error is None
