"""The rules of carriage.py: what a request gives, what an answer gets, and browsers that send requests side by side."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regionkit import ConfigurationError
from regionkit.web.carriage import MOST_SENT, UNCHANGED, Carriage, Change, Cookie, Received, answer, receive

BOTH = Carriage("Region-Bookmark", Cookie())
COOKIE = Carriage(None, Cookie())
HEADER = Carriage()
ONCE = "0123abcd"


def fields(change: Change) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in change.added:
        found.setdefault(name, []).append(value)
    return found


def test_nothing_came() -> None:
    """Rule 1; cookies of others are not ours, nor are names that only begin like ours."""
    assert receive(BOTH, [], []) == Received()
    assert receive(BOTH, [""], ["a=regionkit; regionkitten=1; regionkit-x=2; regionkit-0123ABCD=3"]) == Received()


def test_lines_lists_and_cookies_are_taken_together_each_once() -> None:
    """Rule 2."""
    got = receive(BOTH, ["one, two", "two"], ["x=1; regionkit=three", f'regionkit-{ONCE}="one"'])
    assert got == Received(("one", "two", "three"), (("regionkit", "three"), (f"regionkit-{ONCE}", "one")))


def test_what_is_not_carried_in_it_is_not_looked_at() -> None:
    """A kit without a cookie takes none."""
    assert receive(HEADER, ["one"], ["regionkit=two"]) == Received(("one",))


def test_of_too_many_the_first_count_and_the_cookies_of_the_rest_stay() -> None:
    """Rule 4: an answer may take away what it has read, and nothing else."""
    jar = "; ".join(f"regionkit-{n:08x}=b{n}" for n in range(MOST_SENT + 5))
    got = receive(BOTH, ["h1, h2"], [jar])
    assert len(got.texts) == MOST_SENT
    assert {value for _, value in got.cookies} <= set(got.texts)
    assert len(receive(HEADER, [",".join(map(str, range(100)))], []).texts) == MOST_SENT


def test_an_answer_of_an_unused_session_stays_as_it_is() -> None:
    """Rule 5: it may be cached as before."""
    assert answer(BOTH, Received(("a",), (("regionkit", "a"),)), {}, used=False) is UNCHANGED


@pytest.mark.parametrize(
    ("given_value", "becomes"),
    [
        ([], "private"),
        (["public, max-age=60, s-maxage=600"], "private, max-age=60"),
        (["no-store"], "no-store"),
        (["Private"], "Private"),
        (["no-cache", "max-age=0"], "private, no-cache, max-age=0"),
        (['private="Set-Cookie"'], 'private, private="Set-Cookie"'),
    ],
)
def test_shared_caches_may_not_keep_what_a_session_was_used_for(given_value: list[str], becomes: str) -> None:
    """Rule 6."""
    change = answer(HEADER, Received(), {"cache-control": given_value}, used=True)
    assert fields(change)["Cache-Control"] == [becomes]
    assert {"cache-control", "cdn-cache-control", "surrogate-control"} <= change.dropped


@pytest.mark.parametrize(
    ("given_value", "becomes"),
    [
        ([], "Region-Bookmark, Cookie"),
        (["Accept", "cookie"], "Accept, cookie, Region-Bookmark"),
        (["*"], "*"),
    ],
)
def test_vary_names_what_the_bookmark_travels_in(given_value: list[str], becomes: str) -> None:
    """Rule 6: an answer kept in a browser is not the one for a session that has moved on."""
    assert fields(answer(BOTH, Received(), {"vary": given_value}, used=True))["Vary"] == [becomes]


def test_the_application_s_own_header_stays_beside_ours() -> None:
    """Rule 7: the client sends both back, and both count."""
    change = answer(HEADER, Received(), {}, used=True, bookmark="rk1.x")
    assert fields(change)["Region-Bookmark"] == ["rk1.x"]
    assert "region-bookmark" not in change.dropped


def test_a_read_sets_the_plain_cookie_and_a_write_one_of_its_own() -> None:
    """Rules 10 and 11."""
    got = Received(("a", "b"), (("regionkit", "a"), ("regionkit-00000001", "b")))
    of_read = fields(answer(COOKIE, got, {}, used=True, bookmark="rk1.x", once=ONCE))["Set-Cookie"]
    assert of_read == ["regionkit=rk1.x; Max-Age=86400; Path=/; HttpOnly; SameSite=Lax; Secure"]
    of_write = fields(answer(COOKIE, got, {}, used=True, wrote=True, bookmark="rk1.x", once=ONCE))["Set-Cookie"]
    assert [line.partition(";")[0] for line in of_write] == [f"regionkit-{ONCE}=rk1.x", "regionkit-00000001="]
    assert "Max-Age=0;" in of_write[1]


def test_what_did_not_survive_goes_with_all_its_cookies() -> None:
    """Rule 9; where nothing survived, nothing is set."""
    got = Received(("a", "b"), (("regionkit", "a"), ("regionkit-00000001", "b")))
    lines = fields(answer(COOKIE, got, {}, used=True, lost=True, bookmark="rk1.x", once=ONCE))["Set-Cookie"]
    assert [line.partition(";")[0] for line in lines] == [
        f"regionkit-{ONCE}=rk1.x",
        "regionkit=",
        "regionkit-00000001=",
    ]
    lines = fields(answer(COOKIE, got, {}, used=True, lost=True, once=ONCE))["Set-Cookie"]
    assert [line.partition(";")[0] for line in lines] == ["regionkit=", "regionkit-00000001="]


def test_what_could_not_be_read_stays() -> None:
    """Rule 12: it may be another application's, whose writes are in it."""
    cookies = (("regionkit", "theirs"), ("regionkit-00000001", "theirs"), ("regionkit-00000002", "a"))
    got = Received(("a", "theirs"), cookies)
    for lost in (False, True):
        change = answer(
            COOKIE, got, {}, used=True, wrote=True, lost=lost, bookmark="rk1.x", once=ONCE, unread=("theirs",)
        )
        lines = [line.partition(";")[0] for line in fields(change)["Set-Cookie"]]
        assert lines == [f"regionkit-{ONCE}=rk1.x", "regionkit-00000002="]
    assert receive(COOKIE, [], ["regionkit=; regionkit-00000001="]) == Received()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Carriage(None, None),
        lambda: Carriage("Bad Header"),
        lambda: Carriage("X\r\nSet-Cookie: a"),
        lambda: Carriage("X", "regionkit"),  # type: ignore[arg-type]
        lambda: Cookie(name="a=b"),
        lambda: Cookie(name="a;b"),
        lambda: Cookie(path="/; Domain=evil"),
        lambda: Cookie(domain="a\r\nX: y"),
        lambda: Cookie(same_site="lax"),  # type: ignore[arg-type]
        lambda: Cookie(same_site="None", secure=False),
        lambda: Cookie(name="__Host-x", path="/app"),
        lambda: Cookie(max_age=0),
        lambda: Cookie(max_age=0.5),  # type: ignore[arg-type]
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: object) -> None:
    """Also those that would break out of a header."""
    with pytest.raises(ConfigurationError):
        wrong()  # type: ignore[operator]


@settings(deadline=None)
@given(st.lists(st.text(max_size=80), max_size=4), st.lists(st.text(max_size=200), max_size=4))
def test_no_request_breaks_it_and_what_is_taken_away_was_read(headers: list[str], cookies: list[str]) -> None:
    """Whatever a client sends: bounded, each once, and no value of it reaches the answer."""
    got = receive(BOTH, headers, cookies)
    assert len(got.texts) <= MOST_SENT and len(got.cookies) <= MOST_SENT
    assert len(set(got.texts)) == len(got.texts)
    change = answer(BOTH, got, {}, used=True, wrote=True, bookmark="rk1.ours", once=ONCE, unread=got.texts)
    legal = set(string.printable) - set("\r\n\x0b\x0c")
    for name, value in change.added:
        assert set(name) | set(value) <= legal


class Browser:
    """A cookie jar. Its bookmarks are sets of what they cover, as text: "w1.w2.r3"."""

    def __init__(self) -> None:
        self.jar: dict[str, str] = {}

    def sends(self) -> list[str]:
        return ["; ".join(f"{n}={v}" for n, v in self.jar.items())]

    def takes(self, lines: list[str]) -> None:
        for line in lines:
            pair, _, attributes = line.partition(";")
            name, _, value = pair.partition("=")
            if "Max-Age=0;" in attributes:
                self.jar.pop(name, None)
            else:
                self.jar[name] = value

    def covers(self) -> set[str]:
        return {part for value in self.jar.values() for part in value.split(".")}


@settings(max_examples=100, deadline=None)  # a busy machine is no failure
@given(st.integers(0, 2**32), st.integers(1, 8))
def test_no_answer_takes_a_write_away_from_a_browser(seed: int, side_by_side: int) -> None:
    """Requests overlap at random and answers come in any order: each write whose answer came is covered by all later requests;
    the jar stays small.
    """
    rng, browser = random.Random(seed), Browser()
    under_way: list[tuple[str, Received]] = []
    answered: set[str] = set()
    for number in range(60):
        if len(under_way) < side_by_side and rng.random() < 0.6:
            got = receive(COOKIE, [], browser.sends())
            sent = {part for text in got.texts for part in text.split(".")}
            assert answered <= sent
            under_way.append((f"{rng.choice('wr')}{number}", got))
        elif under_way:
            what, got = under_way.pop(rng.randrange(len(under_way)))
            content = sorted({part for text in got.texts for part in text.split(".")} | {what})
            once, wrote = f"{number:08x}", what[0] == "w"
            change = answer(COOKIE, got, {}, used=True, wrote=wrote, bookmark=".".join(content), once=once)
            browser.takes(fields(change)["Set-Cookie"])
            answered |= {what} if wrote else set()
            assert answered <= browser.covers()
            assert len(browser.jar) <= 2 * side_by_side + 1
