"""A file that was cut short is read up to the last answer; one that was changed is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regionkit.core.frames import PREAMBLE, Damaged, Format

LOG = Format(b"RKDL", b"regionkit log 1\n", "a decision log")
frame, frames, preamble, scan = LOG.frame, LOG.frames, LOG.preamble, LOG.scan

BEGIN = preamble("n" * 32)
PAYLOADS = [b"first", b"", b"\0zeros\0\0\0", bytes(range(256))]


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_what_was_written_is_read(payloads: list[bytes]) -> None:
    """Any payload."""
    found = scan(BEGIN + frames(1, payloads))
    assert (list(found.payloads), found.torn) == (payloads, 0)


def test_a_tail_that_is_torn_at_any_byte_is_left_out() -> None:
    """The last frame was never answered then; with or without the zeros that a file system fills up with."""
    whole, last = BEGIN + frames(1, PAYLOADS[:-1]), frame(len(PAYLOADS), PAYLOADS[-1])
    for cut in range(len(last)):
        for zeros in (0, 1, 40, 5000):
            found = scan(whole + last[:cut] + bytes(zeros))
            assert list(found.payloads) == PAYLOADS[:-1], (cut, zeros)
            assert found.torn == cut + zeros


def test_a_flipped_bit_is_damage_wherever_it_is() -> None:
    """In the last frame too: it was answered, perhaps."""
    data = bytearray(BEGIN + frames(1, PAYLOADS))
    for at in range(PREAMBLE, len(data)):
        for bit in (0, 3, 7):
            data[at] ^= 1 << bit
            with pytest.raises(Damaged):
                scan(bytes(data))
            data[at] ^= 1 << bit
    assert len(scan(bytes(data)).payloads) == len(PAYLOADS)


def test_a_frame_that_is_missing_or_wiped_is_damage() -> None:
    """Something valid follows."""
    parts = [frame(number, payload) for number, payload in enumerate(PAYLOADS, 1)]
    for n in range(len(parts) - 1):
        with pytest.raises(Damaged):
            scan(BEGIN + b"".join(parts[:n] + parts[n + 1 :]))
        with pytest.raises(Damaged):
            scan(BEGIN + b"".join([*parts[:n], bytes(len(parts[n])), *parts[n + 1 :]]))
        with pytest.raises(Damaged):
            scan(BEGIN + b"".join([*parts[:n], parts[n], *parts[n:]]))


def test_another_file_is_no_log() -> None:
    """An empty one neither: it would presume an abort of everything."""
    for data in (b"", b"SQLite format 3\0" + bytes(100), BEGIN[:40], bytes(4096)):
        with pytest.raises(Damaged):
            scan(data)
