"""What PostgreSQL sends, cut anywhere, gives the same results."""

from __future__ import annotations

import itertools
import struct
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from regionkit.backends.sql.postgres_wire import HEADER, Answers, Frames, WireResult, ahead, value_of


def message(kind: bytes, body: bytes = b"") -> bytes:
    """One message of the server's."""
    return kind + struct.pack("!I", 4 + len(body)) + body


def row(*values: str | None) -> bytes:
    """A DataRow."""
    cells = [struct.pack("!i", -1) if v is None else struct.pack("!i", len(v.encode())) + v.encode() for v in values]
    return message(b"D", struct.pack("!H", len(values)) + b"".join(cells))


def shape(*columns: tuple[str, int]) -> bytes:
    """A RowDescription."""
    parts = [name.encode() + b"\0" + struct.pack("!IHIHIH", 0, 0, number, 0, 0, 0) for name, number in columns]
    return message(b"T", struct.pack("!H", len(columns)) + b"".join(parts))


NOTICE = message(b"N", b"SWARNING\0VWARNING\0C01000\0Mmind this\0\0")
ERROR = message(b"E", b"SFEHLER\0VERROR\0C23505\0Mtwice\0\0")
STREAM = b"".join(
    [
        shape(("a", 23), ("b", 25)),
        row("1", None),
        row("-2", "tea"),
        message(b"C", b"SELECT 2\0"),
        NOTICE,
        message(b"S", b"TimeZone\0UTC\0"),
        message(b"I"),
        message(b"C", b"COMMIT\0"),
        ERROR,
        message(b"Z", b"I"),
    ]
)
WARNED = ("WARNING: mind this",)
EXPECTED = [
    WireResult("SELECT 2", ("a", "b"), (23, 25), [["1", None], ["-2", "tea"]], {}, ()),
    WireResult("", (), (), [], {}, WARNED),
    WireResult("COMMIT", (), (), [], {}, ()),
    WireResult("", (), (), [], {"S": "FEHLER", "V": "ERROR", "C": "23505", "M": "twice"}, ()),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_cut_anywhere_gives_the_same_results(cuts: list[int]) -> None:
    """TCP keeps no borders."""
    frames, answers, whole = Frames(), Answers(), b""
    places = [0, *sorted(cuts), len(STREAM)]
    for start, end in itertools.pairwise(places):
        data, messages = frames.take(STREAM[start:end])
        whole += data
        for kind, at, following in messages:
            answers.take(kind, data[at + HEADER : following])
    assert (answers.results, answers.over, whole) == (EXPECTED, True, STREAM)


def test_a_fatal_error_is_the_servers_last_word() -> None:
    """In every language: the field V is not translated."""
    answers = Answers()
    answers.take(ord("E"), b"SSCHWERWIEGEND\0VFATAL\0C57P01\0Mgone\0\0")
    assert answers.results[0].is_last_word
    assert not EXPECTED[-1].is_last_word


def test_values_are_pythons_where_that_is_sure() -> None:
    """By the number of the type; others stay texts."""
    found = [
        value_of(kind, text) for kind, text in ((16, "t"), (20, "7"), (1700, "1.50"), (17, "\\x00ff"), (1184, "now"))
    ]
    assert found == [True, 7, Decimal("1.50"), b"\x00\xff", "now"]
    assert value_of(23, None) is None


def test_a_statement_sent_ahead_ends_without_sync() -> None:
    """Else the server would go on with what follows when it fails."""
    kinds, (data, messages) = [], Frames().take(ahead("BEGIN"))
    kinds = [kind for kind, _, _ in messages]
    assert bytes(kinds) == b"CPBE"
    assert data == ahead("BEGIN")
