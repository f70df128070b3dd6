"""Looking whether a connection is there: two threads at once, as one keeps it warm and one takes it."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

from regionkit.backends.redis.stream import Stream


def test_two_threads_look_at_one_connection() -> None:
    """A poll object of the system serves one thread at a time, and says so by an error."""
    here, there = socket.socketpair()
    stream: Any = Stream.__new__(Stream)
    stream._sock, stream._poll, stream._tls = here, None, None
    errors: list[BaseException] = []
    until = time.monotonic() + 0.5

    def look() -> None:
        try:
            while time.monotonic() < until:
                assert stream.silent()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    there.send(b"x")
    assert not stream.silent()
    stream._sock = None
    here.close()
    there.close()
