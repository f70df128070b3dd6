"""How a file that answers for what it holds is made of frames, and what of one that was cut short may be trusted. Pure.

Decision logs and the journals of write-back caches are such files.

1. A file is a preamble and frames: header, payload, end byte. The header has a checksum of its own, so that a length is trusted
   before it is followed; frames are numbered without a gap.
2. What was answered was synced, whole. So a tail that is torn was never answered: it ends in the middle of a frame, or in
   zeros that the file system put there. It is left out.
3. Anything else that does not fit is damage, in the last frame too: the file is refused, as what was answered may be missing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

import msgspec

__all__ = ["HEADER", "NONCE", "PREAMBLE", "Damaged", "Format", "Scan"]

VERSION = 1
PREAMBLE = 64
NONCE = 32
"""Characters by which a preamble names the process that has the file open."""
_HEADER = struct.Struct(">4sB3xIQI")
"""Magic, version, length of the payload, number, checksum of the payload; behind it the checksum of all that."""
_SUM = struct.Struct(">I")
HEADER = _HEADER.size + _SUM.size
"""Bytes before a payload."""
END = b"\xa5"
"""No zero: a frame that ends in one was not written to its end."""


class Damaged(Exception):
    """A file that cannot be trusted; the text says where and why."""


class Scan(msgspec.Struct, frozen=True, gc=False):
    """What a file holds: payloads in order; `torn`: bytes at its end that were never answered."""

    payloads: tuple[bytes, ...]
    torn: int


class Format(msgspec.Struct, frozen=True):
    """One kind of file.

    Attributes:
        magic: 4 bytes that each frame begins with.
        first: the first bytes of a file, at most 31.
        what: it is, in words.
    """

    magic: bytes
    first: bytes
    what: str

    @property
    def nonce(self) -> slice:
        """Where the preamble names the process that has the file open."""
        return slice(len(self.first), len(self.first) + NONCE)

    def preamble(self, nonce: str) -> bytes:
        """The first bytes of a file. `nonce`: `NONCE` characters."""
        return (self.first + nonce.encode()).ljust(PREAMBLE - 1) + b"\n"

    def frame(self, number: int, payload: bytes) -> bytes:
        """One frame, numbered from 1."""
        header = _HEADER.pack(self.magic, VERSION, len(payload), number, zlib.crc32(payload))
        return b"".join((header, _SUM.pack(zlib.crc32(header)), payload, END))

    def frames(self, first: int, payloads: Iterable[bytes]) -> bytes:
        """Several."""
        return b"".join(self.frame(number, payload) for number, payload in enumerate(payloads, first))

    def scan(self, data: bytes) -> Scan:
        """All of a file.

        Raises:
            Damaged: rule 3.
        """
        if not data.startswith(self.first) or len(data) < PREAMBLE:
            raise Damaged(f"it does not begin as {self.what} does")
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
            if magic != self.magic or version != VERSION:
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
