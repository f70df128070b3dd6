"""Asks a Cassandra node in its own protocol, version 4: for questions put hundreds of times while nodes come up.

A driver would open a pool, threads and a control connection for each of them. No passwords, no TLS, no paging.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_ERROR, _STARTUP, _AUTHENTICATE, _QUERY = 0, 1, 3, 7
_VERSION = b"\0\1\0\x0bCQL_VERSION\0\x053.0.0"
_AT_ONE_WITHOUT_METADATA = b"\0\1\2"
_ROWS = 2


class CqlError(RuntimeError):
    """The node has refused; the message is its own."""


def ask(host: str, port: int, *statements: str, timeout: float = 5.0) -> list[dict[str, Any]]:
    """Run statements one after the other and return the rows of the last one, which is then a SELECT JSON.

    Args:
        host: Where the node listens.
        port: Where the node listens.
        statements: CQL; `USE "keyspace"` holds for those that follow.
        timeout: Seconds for each step.

    Raises:
        CqlError: The node refuses one of them.
        OSError: The node does not listen, or not answer in time.
    """
    body = b""
    with socket.create_connection((host, port), timeout) as link:
        _exchange(link, _STARTUP, _VERSION)
        for statement in statements:
            text = statement.encode()
            body = _exchange(link, _QUERY, struct.pack(">I", len(text)) + text + _AT_ONE_WITHOUT_METADATA)
    return _rows(body)


def _exchange(link: socket.socket, operation: int, body: bytes) -> bytes:
    link.sendall(struct.pack(">BBHBI", 4, 0, 0, operation, len(body)) + body)
    answer, size = struct.unpack(">4xBI", _read(link, 9))
    body = _read(link, size)
    if answer == _ERROR:
        (length,) = struct.unpack_from(">H", body, 4)
        raise CqlError(body[6 : 6 + length].decode(errors="replace"))
    if answer == _AUTHENTICATE:
        raise CqlError("the node asks for a password, and the test kit has none for it")
    return body


def _read(link: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        piece = link.recv(size - len(read))
        if not piece:
            raise ConnectionResetError("the node closed the connection")
        read += piece
    return read


def _rows(body: bytes) -> list[dict[str, Any]]:
    """Return the rows of one column of JSON: kind, flags, count of columns and of rows, then sizes and values."""
    if len(body) < 16 or struct.unpack_from(">I", body)[0] != _ROWS:
        return []
    rows, offset = [], 16
    for _ in range(struct.unpack_from(">I", body, 12)[0]):
        (size,) = struct.unpack_from(">I", body, offset)
        rows.append(json.loads(body[offset + 4 : offset + 4 + size]))
        offset += 4 + size
    return rows
