"""Entries as a Memcached server keeps them: ends by the clock of the machine; and the server's address."""

from __future__ import annotations

import math
import ssl
import time
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from regionkit.caching.entry import MOST_TAGS
from regionkit.errors import ConfigurationError

__all__ = ["EXPIRED_KEPT", "FOREVER", "MOST_AT_ONCE", "LoadBegun", "address", "now_ms", "stamped", "tags_in"]

FOREVER = math.inf
EXPIRED_KEPT = 86_400.0
"""Seconds for which an entry that was expired is kept: as long as anybody serves it when a load fails."""
MOST_AT_ONCE = 100
"""Deletions in one message."""


class LoadBegun(NamedTuple):
    """What was there when a load began: its number at the server, the stamp, the generation."""

    number: int
    stamp: int
    generation: bytes


def now_ms() -> int:
    """Milliseconds of this machine's clock."""
    return int(time.time() * 1000)


def tags_in(data: bytes) -> list[bytes]:
    """The tags of an entry; of what is no entry none, which is found out when it is opened."""
    count = data[118:120]
    if not count.isdigit() or int(count) > MOST_TAGS or not data[35:51].isdigit():
        return []
    return [data[at : at + 16] for at in range(120, 120 + 16 * int(count), 16)]


def stamped(data: bytes, generation: bytes, stamp: int) -> bytes:
    """An entry with its generation and stamp, its ends from now on."""
    now = now_ms()
    ends = b"%013d%013d%013d" % (now + int(data[79:92]), now + int(data[92:105]), now)
    return b"%b%b%016d%b%b%b" % (data[:27], generation, stamp, data[51:79], ends, data[118:])


def address(server: Any) -> tuple[str, int, ssl.SSLContext | None]:
    """Host, port and TLS of a URL.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        url = urlsplit(server)
        host, port, options = url.hostname or "", url.port or 11211, parse_qs(url.query)
    except (ValueError, TypeError, AttributeError):
        url, host, port, options = None, "", 0, {}
    more = url is None or url.username or url.path not in ("", "/") or set(options) - {"tls"}
    if more or url is None or url.scheme != "memcached" or not host:
        raise ConfigurationError(
            "the server of a Memcached tier is no usable URL.", fix='write Memcached("memcached://host:11211").'
        )
    near = host in ("localhost", "::1") or host.startswith("127.")
    plain = near or options.get("tls") == ["off"]
    return host, port, None if plain else ssl.create_default_context()
