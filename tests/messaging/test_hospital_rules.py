"""What may be done with a case, and what an edited message is."""

from __future__ import annotations

import datetime
from itertools import product
from typing import Any

import msgspec
import pytest

from regionkit.errors import UsageError
from regionkit.messaging.case import NO_ERROR, Case
from regionkit.messaging.envelope import NOTHING_BEFORE, Envelope, Number, decode, encode, payload_of
from regionkit.messaging.hospital_rules import NotPossible, amended, check, ended, redirected, retried, retyped
from regionkit.messaging.hospital_views import as_json, line_of, shown

CASE = Case("c", b"s", b"m", "admitted", "failed", "t", b"", b"k", True, 1, None, NO_ERROR, "", "", "", b"", 1.0, 1.0)
STATUSES = ("retrying", "treating", "admitted", "discharged", "buried", "redirected")
CHANGES: Any = ("retry", "edit", "redirect", "bury", "release")


def test_the_table_of_changes() -> None:
    """What is over stays so, a run under way is left alone until its time is over, a gap can be given up only."""
    for what, status, reason, due in product(CHANGES, STATUSES, ("failed", "gap"), (5.0, 15.0)):
        case = msgspec.structs.replace(CASE, status=status, reason=reason, due_at=due)
        fine = status in ("admitted", "retrying") or (status == "treating" and due <= 10.0)
        if fine and (reason != "gap" or what in ("bury", "release")):
            check(case, what, 10.0)
        else:
            with pytest.raises(NotPossible):
                check(case, what, 10.0)


def test_what_changes() -> None:
    """A retry is due; a case that is over is due where its key waits for it, so that the key goes on."""
    assert (retried(CASE, 2.0, 3.0).status, retried(CASE, 2.0, 3.0).due_at) == ("retrying", 3.0)
    assert (ended(CASE, "buried", 2.0).status, ended(CASE, "buried", 2.0).due_at) == ("buried", 2.0)
    assert ended(msgspec.structs.replace(CASE, parks=False), "redirected", 2.0).due_at is None


OLD = Envelope("old", "t", b"\xc0", "k", headers={"a": "b"}, expires_at=9.0, lineage="o", number=Number(1, "h", 2))


def test_an_edited_message_keeps_its_place_and_takes_another_id() -> None:
    """It says what it amends, has no end, and is encoded as the old one was."""
    new = amended(OLD, {"n": 1}, "new")
    assert (new.id, new.headers, new.expires_at) == ("new", {"a": "b", "amends": "old"}, None)
    assert (new.key, new.number, payload_of(new)) == ("k", OLD.number, {"n": 1})
    as_text = msgspec.structs.replace(OLD, codec="json")
    assert payload_of(decode(encode(amended(as_text, [1], "new")))) == [1]
    plain = msgspec.structs.replace(OLD, codec="bytes")
    assert payload_of(amended(plain, b"x", "new")) == b"x"
    for envelope, payload in ((plain, "x"), (OLD, object()), (OLD, b"x" * (1 << 20))):
        with pytest.raises(UsageError):
            amended(envelope, payload, "new")


def test_a_redirected_message_keeps_its_id_and_loses_its_number() -> None:
    """A number means nothing elsewhere."""
    sent = redirected(OLD, b"billing")
    assert (sent.id, sent.payload, sent.key) == (OLD.id, OLD.payload, OLD.key)
    assert (sent.number, sent.prev, sent.lineage, sent.headers["redirected-from"]) == (
        None,
        NOTHING_BEFORE,
        "",
        "billing",
    )


def test_a_payload_goes_through_json_and_comes_back() -> None:
    """Bytes, times and keys that are numbers are what they were, where the text still fits; new places keep theirs."""
    at = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    old = {"raw": b"\x00\xff", "at": at, "rows": [{"at": at}], 7: "seven", "name": "x", "n": 1}
    text = msgspec.json.decode(as_json(old))
    assert retyped(text, old) == old
    text["rows"].append({"at": "2026-01-03T00:00:00Z"})
    assert retyped(text, old)["rows"][1] == {"at": at + datetime.timedelta(days=1)}
    assert retyped({"raw": "no base64!", "new": "x", "n": "1"}, old) == {"raw": "no base64!", "new": "x", "n": "1"}


def test_what_json_does_not_have_is_shown_as_text() -> None:
    """A payload with keys of any kind is no reason not to show the case."""
    assert b"(1, 2)" in as_json({"payload": {(1, 2): {3, 4}}})
    assert as_json(line_of(CASE)).startswith(b'{"id":"c"')
    assert shown(b"nothing", lambda payload: payload).payload is None  # nobody could redact it
