"""How a decision log's file is made of frames, and what of a file that was cut short may be trusted. Pure.

1. A file is a preamble and frames: header, payload, end byte. The header has a checksum of its own, so that a length is trusted
   before it is followed; frames are numbered without a gap.
2. What was answered was synced, whole. So a tail that is torn was never answered: it ends in the middle of a frame, or in
   zeros that the file system put there. It is left out.
3. Anything else that does not fit is damage, in the last frame too: the file is refused, as a decision may be missing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

import msgspec

__all__ = ["NONCE", "PREAMBLE", "Damaged", "Scan", "frame", "preamble", "scan"]

MAGIC = b"RKDL"
VERSION = 1
_FIRST = b"regionkit log 1\n"
NONCE = slice(len(_FIRST), len(_FIRST) + 32)
"""Where the preamble names the process that has the file open."""
PREAMBLE = 64
_HEADER = struct.Struct(">4sB3xIQI")
"""Magic, version, length of the payload, number, checksum of the payload; behind it the checksum of all that."""
_SUM = struct.Struct(">I")
HEADER = _HEADER.size + _SUM.size
END = b"\xa5"
"""No zero: a frame that ends in one was not written to its end."""
LARGEST = 16 * 1024 * 1024
"""Bytes of a payload: an acknowledgement of thousands of transactions has a few hundred thousand."""


class Damaged(Exception):
    """A file that cannot be trusted; the text says where and why."""


class Scan(msgspec.Struct, frozen=True, gc=False):
    """What a file holds: payloads in order; `torn`: bytes at its end that were never answered."""

    payloads: tuple[bytes, ...]
    torn: int


def preamble(nonce: str) -> bytes:
    """The first bytes of a file. `nonce`: 32 characters."""
    return (_FIRST + nonce.encode()).ljust(PREAMBLE - 1) + b"\n"


def frame(number: int, payload: bytes) -> bytes:
    """One frame, numbered from 1."""
    header = _HEADER.pack(MAGIC, VERSION, len(payload), number, zlib.crc32(payload))
    return b"".join((header, _SUM.pack(zlib.crc32(header)), payload, END))


def frames(first: int, payloads: Iterable[bytes]) -> bytes:
    """Several."""
    return b"".join(frame(number, payload) for number, payload in enumerate(payloads, first))


def scan(data: bytes) -> Scan:
    """All of a file.

    Raises:
        Damaged: rule 3.
    """
    if not data.startswith(_FIRST) or len(data) < PREAMBLE:
        raise Damaged("it does not begin as a decision log does")
    payloads: list[bytes] = []
    at, end = PREAMBLE, len(data.rstrip(b"\0"))
    while at < len(data):
        if end - at < HEADER:  # the header itself is not whole
            break
        header = data[at : at + _HEADER.size]
        (checksum,) = _SUM.unpack_from(data, at + _HEADER.size)
        if zlib.crc32(header) != checksum:
            raise Damaged(f"the frame at byte {at} has a header that is not as it was written")
        magic, version, length, number, payload_sum = _HEADER.unpack(header)
        if magic != MAGIC or version != VERSION:
            raise Damaged(f"the frame at byte {at} is of version {version}, and this regionkit reads {VERSION}")
        if number != len(payloads) + 1:
            raise Damaged(f"the frame at byte {at} is number {number}, and number {len(payloads) + 1} is missing")
        after = at + HEADER + length + len(END)
        if end < after:
            break
        payload = data[at + HEADER : after - len(END)]
        if zlib.crc32(payload) != payload_sum or data[after - len(END) : after] != END:
            raise Damaged(f"the frame at byte {at} is not as it was written")
        payloads.append(payload)
        at = after
    return Scan(tuple(payloads), len(data) - at)
