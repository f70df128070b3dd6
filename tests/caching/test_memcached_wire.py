"""Memcached's answers as bytes: whole ones are read, halves are waited for, others are refused."""

from __future__ import annotations

import math

import pytest

from regionkit.caching.memcached_wire import Refused, gets, lines_in, store, values_in

VALUES = b"VALUE a 0 5 7\r\nx\r\nEN\r\nVALUE b 0 0 18446744073709551615\r\n\r\nEND\r\n"


def test_an_answer_is_read_when_it_is_whole() -> None:
    """Cut at each byte, and with line ends in a value."""
    for at in range(len(VALUES)):
        assert values_in(VALUES[:at]) is None
    assert values_in(VALUES) == {b"a": (b"x\r\nEN", 7), b"b": (b"", 18446744073709551615)}
    assert values_in(b"END\r\n") == {}
    assert lines_in(2)(b"STORED\r\nDEL") is None
    assert lines_in(2)(b"STORED\r\nNOT_FOUND\r\n") == [b"STORED", b"NOT_FOUND"]


@pytest.mark.parametrize(
    "data", [b"ERROR\r\n", b"SERVER_ERROR out of memory\r\n", b"VALUE a 0 x 7\r\n", VALUES + b"END\r\n", b"\r\n"]
)
def test_another_answer_to_a_question_for_values_is_refused(data: bytes) -> None:
    """Nobody knows where the next one begins."""
    with pytest.raises(Refused):
        values_in(data)


@pytest.mark.parametrize("data", [b"ERROR\r\n", b"CLIENT_ERROR bad data chunk\r\n", b"STORED\r\nSTORED\r\n"])
def test_another_answer_to_a_command_is_refused(data: bytes) -> None:
    """SERVER_ERROR is none of them: it is the answer to what is too large."""
    with pytest.raises(Refused):
        lines_in(1)(data)
    assert lines_in(1)(b"SERVER_ERROR object too large for cache\r\n") is not None


def test_a_life_is_whole_seconds_and_never_a_date() -> None:
    """From a month on the server takes it for one; 0 is for good."""
    lives = [store(b"set", b"k", b"v", seconds).split()[3] for seconds in (0.001, 1.5, 1e9, math.inf)]
    assert lives == [b"1", b"2", b"2592000", b"0"]
    assert store(b"cas", b"k", b"v", 1, 9) == b"cas k 0 1 1 9\r\nv\r\n"
    assert gets([b"a", b"b"]) == b"gets a b\r\n"
