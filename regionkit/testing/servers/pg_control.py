"""Gives a copied PostgreSQL data folder a system identifier of its own.

Copies of one template would all carry the template's identifier, and code that tells histories apart by it would take
two unrelated servers for one. The identifier is the first field of global/pg_control, a CRC-32C the last one
(src/include/catalog/pg_control.h); pages of the write-ahead log carry it too, so pg_resetwal must run afterwards.
"""

from __future__ import annotations

import os
import secrets
import struct
import time
from pathlib import Path

_LONGEST = 512  # the struct must fit one disk sector; the rest of the file is zeros


def renew_identity(data: Path) -> None:
    """Write a new system identifier into a data folder whose server was shut down in order.

    Raises:
        ValueError: The file is not what this code knows.
    """
    path = data / "global" / "pg_control"
    content = bytearray(path.read_bytes())
    end = _crc_offset(content)
    now = time.time_ns()
    # as initdb does: seconds above, then microseconds, then what was the process id
    identifier = (now // 10**9) << 32 | (now // 1000 % 10**6) << 12 | secrets.randbelow(1 << 12)
    content[:8] = struct.pack("=Q", identifier)
    content[end : end + 4] = struct.pack("=I", crc32c(content[:end]))
    with path.open("r+b") as file:  # in place, so that owner and mode stay
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _crc_offset(content: bytes | bytearray) -> int:
    """Find where the checksum of all before it stands; the place differs between versions."""
    crc = 0xFFFFFFFF
    for offset in range(_LONGEST):
        at_boundary = offset % 4 == 0 and offset >= 64
        if at_boundary and struct.unpack_from("=I", content, offset)[0] == crc ^ 0xFFFFFFFF:
            return offset
        crc = _feed(crc, content[offset])
    raise ValueError("pg_control holds no checksum where this code looks for it")


def crc32c(content: bytes | bytearray) -> int:
    """Return the CRC-32C (Castagnoli) of `content`."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _feed(crc, byte)
    return crc ^ 0xFFFFFFFF


def _feed(crc: int, byte: int) -> int:
    crc ^= byte
    for _ in range(8):
        crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc
