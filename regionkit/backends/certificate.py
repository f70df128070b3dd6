"""Until when a server's certificate is good: a TLS handshake of its own, verified as the connections of regionkit are.

Drivers do not say (libpq), or only their private parts do.
"""

from __future__ import annotations

import socket
import ssl
import struct

__all__ = ["certificate_ends"]

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""PostgreSQL's question for TLS; the answer is one letter."""


def certificate_ends(
    host: str, port: int, timeout: float, *, trusted: str | None = None, asks_first: bool = False
) -> float | None:
    """Seconds since 1970; None where it is not known: the connections themselves say what is wrong with it.

    Args:
        host: as the URL has it.
        port: of the server.
        timeout: seconds for all of it.
        trusted: a file of authorities; default the system's.
        asks_first: PostgreSQL: a word before TLS begins.
    """
    try:
        tls = ssl.create_default_context(cafile=None if trusted in (None, "system") else trusted)
        with socket.create_connection((host, port), timeout) as raw:
            if asks_first:
                raw.sendall(_SSL_REQUEST)
                if raw.recv(1) != b"S":
                    return None
            with tls.wrap_socket(raw, server_hostname=host) as secured:
                said = secured.getpeercert() or {}
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return None
    ends = said.get("notAfter")
    return ssl.cert_time_to_seconds(ends) if isinstance(ends, str) else None
