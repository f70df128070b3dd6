"""What comes on a connection of asyncio is kept until it is read."""

from __future__ import annotations

import asyncio

from regionkit.backends.redis.stream_arrivals import Arrivals


async def test_who_reads_is_woken_by_bytes_and_by_the_end() -> None:
    """What came before is read at once; one that was cancelled is not woken."""
    arrivals = Arrivals(tls=False)
    waits = arrivals.coming()
    assert not waits.done()
    arrivals.data_received(b"a")
    assert waits.done() and arrivals.coming().done()
    arrivals.chunks.clear()
    waits = arrivals.coming()
    waits.cancel()
    arrivals.data_received(b"b")
    arrivals.chunks.clear()
    waits = arrivals.coming()
    assert arrivals.eof_received() is True
    assert waits.done() and arrivals.ended and not arrivals.lost
    assert Arrivals(tls=True).eof_received() is False  # TLS cannot be half closed


async def test_who_writes_waits_until_the_system_has_taken_it() -> None:
    """Or until the connection is gone."""
    arrivals = Arrivals(tls=False)
    await asyncio.wait_for(arrivals.taken(), 1.0)
    for end in (arrivals.resume_writing, lambda: arrivals.connection_lost(OSError("reset"))):
        arrivals.pause_writing()
        writer = asyncio.ensure_future(arrivals.taken())
        await asyncio.sleep(0)
        assert not writer.done()
        end()
        await asyncio.wait_for(writer, 1.0)
    assert arrivals.ended and arrivals.lost and str(arrivals.broke) == "reset"


async def test_who_reads_behind_the_end_does_not_wait() -> None:
    """The server hung up before the answer was asked for; what had come before is read first."""
    arrivals = Arrivals(tls=False)
    assert not arrivals.coming().done()
    arrivals.eof_received()
    assert arrivals.coming().done() and arrivals.ended
    arrivals = Arrivals(tls=False)
    arrivals.data_received(b"+OK")
    arrivals.connection_lost(None)
    assert arrivals.coming().done() and arrivals.chunks == [b"+OK"]
