"""Entries as bytes: whatever is not exactly one of this cache and key is a miss with a reason, never an error, never a value."""

from __future__ import annotations

import dataclasses
import zlib
from typing import Annotated, Any, Literal, NewType, Optional, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regionkit import ConfigurationError
from regionkit.caching.entry import HEADER, MOST_TAGS, Coder, Envelope, Unreadable, opened, sealed
from regionkit.caching.keys import digest_of
from regionkit.caching.version import of_position, of_row

LARGEST = 10_000
DIGEST = digest_of("42", b"tenant")


class User(msgspec.Struct, frozen=True):
    """What is cached here."""

    id: int
    name: str
    tags: tuple[str, ...] = ()


class UserToday(msgspec.Struct, frozen=True):
    """The same with a field more, and without one."""

    id: int
    name: str
    mail: str = ""


UserToday.__qualname__ = User.__qualname__
CODER: Coder[Any] = Coder(User, largest=LARGEST)
VERSIONS = (
    st.just("")
    | st.builds(of_position, st.integers(0, 99), st.integers(0, 10**20 - 1))
    | st.builds(of_row, st.integers(0, 9))
)
TIMES = st.integers(0, 10**13 - 1)
ENVELOPES = st.builds(
    Envelope,
    generation=st.binary(min_size=8, max_size=8),
    stamp=st.integers(0, 10**16 - 1),
    version=VERSIONS,
    soft=TIMES,
    hard=TIMES,
    made=TIMES,
    tags=st.lists(st.binary(min_size=16, max_size=16), max_size=MOST_TAGS).map(tuple),
    negative=st.booleans(),
    compressed=st.booleans(),
    body=st.binary(max_size=100),
    schema=st.binary(min_size=8, max_size=8),
)


def entry(value: Any = None, coder: Coder[Any] = CODER, **options: Any) -> bytes:
    """A good one."""
    body, compressed = coder.encode(User(42, "Ann") if value is None else value)
    given = {"body": body, "compressed": compressed, "schema": coder.schema, **options}
    return sealed(Envelope(b"12345678", 7, of_row(3), 1000, 2000, 500, **given), DIGEST)


def reason(data: bytes, digest: bytes = DIGEST, coder: Coder[Any] = CODER) -> str:
    """Why bytes are no entry; "" when they are one."""
    try:
        coder.decode(opened(data, digest))
    except Unreadable as error:
        return error.reason
    return ""


@given(ENVELOPES)
def test_what_is_sealed_is_opened(envelope: Envelope) -> None:
    """Every field."""
    assert opened(sealed(envelope, DIGEST), DIGEST) == envelope


def test_an_entry_is_decoded_as_what_was_encoded() -> None:
    """By either codec, compressed or not; a script finds its fields where the prelude looks for them."""
    user = User(1, "Ann" * 1000, ("a", "b"))
    for codec in ("msgpack", "json"):
        for above in (None, 100):
            coder: Coder[Any] = Coder(User, codec=codec, largest=LARGEST, compress_above=above)
            data = entry(user, coder)
            assert opened(data, DIGEST).compressed is (above is not None)
            assert coder.decode(opened(data, DIGEST)) == user
    tagged = entry(tags=(b"t" * 16,))
    assert (tagged[27:35], tagged[35:51], tagged[118:120], tagged[120:136]) == (
        b"12345678",
        b"%016d" % 7,
        b"01",
        b"t" * 16,
    )
    assert HEADER == 118


def test_an_entry_that_ends_at_any_byte_is_none() -> None:
    """A value that was cut has no end of its own where its codec needs none: it is never another value."""
    for data in (entry(), entry(tags=(b"t" * 16,) * 3), entry(coder=Coder(User, codec="json", largest=LARGEST))):
        coder: Coder[Any] = CODER if data[120:121] != b"{" else Coder(User, codec="json", largest=LARGEST)
        assert reason(data, coder=coder) == ""
        for end in range(len(data)):
            assert reason(data[:end], coder=coder) in ("foreign", "other key", "spoiled"), end


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_byte_that_was_changed_makes_no_error(at: int, by: int) -> None:
    """It may make another name, and no other key, number or crash."""
    data = bytearray(entry(User(42, "A" * 300)))
    data[at] ^= by
    found = reason(bytes(data))
    assert found in ("", "foreign", "other key", "spoiled", "other schema", "oversized")
    if at < 3:
        assert found == "foreign"
    elif 11 <= at < 27:
        assert found == "other key"
    elif not found:
        assert position_is_number(opened(bytes(data), DIGEST).version)


def position_is_number(version: str) -> bool:
    """What a session reads as one."""
    return version == "" or (version.isdigit() and len(version) == 27)


@given(st.binary(max_size=400))
def test_foreign_bytes_are_no_entry(data: bytes) -> None:
    """Whatever they are, also behind a good magic and digest."""
    assert reason(data) != ""
    assert reason(b"rk1" + bytes(8) + DIGEST + data) != ""


@pytest.mark.parametrize(
    "field",
    [slice(35, 51), slice(51, 78), slice(78, 79), slice(79, 92), slice(92, 105), slice(105, 118), slice(118, 120)],
)
def test_a_number_is_digits_and_nothing_else(field: slice) -> None:
    """Python takes signs, blanks and underscores for numbers, a script does not."""
    for text in (b"-1", b"+1", b" 1", b"1_", b"\xb2 ", b"zz"):
        data = bytearray(entry())
        width = field.stop - field.start
        data[field] = text.rjust(width, b"0")[-width:]
        if not bytes(data[field]).isdigit():
            assert reason(bytes(data)) == "spoiled", (field, text)
    data = bytearray(entry())
    data[78:79], data[118:120] = b"9", b"99"
    assert reason(bytes(data)) == "spoiled"


def test_an_entry_of_another_key_or_tenant_is_not_taken() -> None:
    """Though it stands under the same name."""
    for digest in (digest_of("43", b"tenant"), digest_of("42", b"other"), digest_of(b"i42", b"tenant")):
        assert reason(entry(), digest) == "other key"


def test_two_versions_of_a_type_live_side_by_side() -> None:
    """Fields that are not known are left out; what cannot be decoded is left to the one that wrote it."""
    today: Coder[Any] = Coder(UserToday, largest=LARGEST)
    assert CODER.schema != today.schema
    assert today.decode(opened(entry(), DIGEST)) == UserToday(42, "Ann")
    body = msgspec.msgpack.encode({"id": "a text now", "name": "Ann"})
    assert reason(entry(body=body, schema=today.schema)) == "other schema"
    assert reason(entry(body=body)) == "spoiled"


def test_a_type_within_a_type_is_part_of_its_schema() -> None:
    """Else a deployment that changes an inner type makes old and new refill for each other all the time."""

    def order_of(*fields: Any) -> Any:
        item = msgspec.defstruct("Item", list(fields))
        return msgspec.defstruct("Order", [("id", int), ("items", list[item])])

    one: Coder[Any] = Coder(order_of(("price", int)), largest=LARGEST)
    same: Coder[Any] = Coder(order_of(("price", int)), largest=LARGEST)
    other: Coder[Any] = Coder(order_of(("price", str)), largest=LARGEST)
    assert one.schema == same.schema != other.schema
    for kind in (dict, Any, tuple[int, str], bytes):
        assert Coder(kind, largest=LARGEST).schema == Coder(kind, largest=LARGEST).schema


def test_what_is_too_large_is_not_made_and_not_taken() -> None:
    """Nor is one that becomes so: a compressed bomb is not blown up beyond the limit."""
    coder: Coder[Any] = Coder(bytes, largest=LARGEST, compress_above=100)
    with pytest.raises(ValueError, match="at most 10000"):
        coder.encode(b"x" * LARGEST)
    most = b"x" * (LARGEST - 3)  # and three of msgpack's
    body, compressed = coder.encode(most)
    assert compressed
    assert coder.decode(opened(entry(most, coder), DIGEST)) == most
    bomb = zlib.compress(b"\0" * 50_000_000, 9)
    assert reason(entry(body=bomb, compressed=True), coder=coder) == "oversized"
    assert reason(entry(body=b"\0" * (LARGEST + 1)), coder=coder) == "oversized"
    assert reason(entry(body=body[:-1], compressed=True), coder=coder) == "spoiled"
    assert reason(entry(body=body + b"more", compressed=True), coder=coder) == "spoiled"
    assert reason(entry(body=b"no zlib", compressed=True, schema=coder.schema), coder=coder) == "spoiled"
    assert coder.encode(bytes(range(256)))[1] is False, "what grows is left as it is"


def test_what_is_nested_too_deeply_is_no_crash() -> None:
    """Neither when it is stored nor when it is read."""
    coder: Coder[Any] = Coder(Any, largest=1 << 20)
    value: Any = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="nested"):
        coder.encode(value)
    while value:
        value = value.pop()
    assert reason(entry(body=b"\x91" * 100_000 + b"\xc0", schema=coder.schema), coder=coder) == "spoiled"
    text: Coder[Any] = Coder(Any, codec="json", largest=1 << 20)
    assert reason(entry(body=b"[" * 100_000 + b"]" * 100_000, schema=text.schema), coder=text) == "spoiled"


class Grumpy(msgspec.Struct):
    """A class that takes nothing."""

    id: int

    def __post_init__(self) -> None:
        if self.id == 13:
            raise KeyError("a class may raise what it likes")


@dataclasses.dataclass
class Plain:
    """A dataclass."""

    id: int


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (User, {"id": 42}),
        (User, None),
        (User, User("42", "Ann")),  # type: ignore[arg-type]
        (Plain, Plain("42")),  # type: ignore[arg-type]
        (dict[str, int], {"a": "x"}),
        (int, "42"),
        (int, True),
        (Any, object()),
        (dict, {"a": {1, object()}}),
        (Any, 1 << 70),
        (str, "\ud800"),
    ],
)
def test_what_cannot_be_read_again_is_not_made(kind: Any, value: Any) -> None:
    """Another class, a field of another type, what no codec knows: said when it is stored, not at each get afterwards."""
    with pytest.raises(TypeError):
        Coder(kind, largest=LARGEST).encode(value)


class Named(TypedDict):
    """A dict with fields."""

    name: str


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Any, {"a": [1, None, "x"]}),
        (int | None, 5),
        (Optional[int], None),  # noqa: UP045 - the older form is a class elsewhere
        (Annotated[int, msgspec.Meta(ge=0)], 5),
        (Literal["a", "b"], "a"),
        (Named, {"name": "Ann"}),
        (NewType("Id", int), 7),
        (list[User], [User(1, "Ann")]),
        (dict[str, tuple[int, ...]], {"a": (1, 2)}),
        (Plain, Plain(1)),
        (bytes, b"\0\xff"),
        (None, None),
    ],
)
def test_a_value_of_any_type_that_can_be_written_down_comes_back(kind: Any, value: Any) -> None:
    """Forms that are no classes, or classes that no value is of."""
    coder: Coder[Any] = Coder(kind, largest=LARGEST)
    body, compressed = coder.encode(value)
    assert coder.decode(Envelope(b"", 0, "", 0, 0, body=body, compressed=compressed)) == value


def test_a_class_that_raises_makes_a_miss() -> None:
    """Whatever it raises."""
    coder: Coder[Any] = Coder(Grumpy, largest=LARGEST)
    assert reason(entry(body=msgspec.msgpack.encode({"id": 13}), schema=coder.schema), coder=coder) == "spoiled"
    assert reason(entry(body=msgspec.msgpack.encode({"id": 12}), schema=coder.schema), coder=coder) == ""


def test_a_type_or_codec_that_cannot_be_is_refused() -> None:
    """When the cache is made."""
    with pytest.raises(ConfigurationError, match="codec"):
        Coder(User, codec="pickle", largest=LARGEST)
    with pytest.raises(ConfigurationError, match="cannot be cached"):
        Coder(int | str | User | Plain, largest=LARGEST)
