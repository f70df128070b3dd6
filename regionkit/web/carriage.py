"""Which session a request gets, and which headers its answer. Pure: names and texts in, names and texts out.

Requests:
1. No bookmark: the session begins with nothing.
2. One or several, in lines of the header, in one line with commas between, in cookies: it begins with all of them merged.
3. One that cannot be read (changed, forged, foreign, longer than 2 KiB) counts for nothing. The others count.
4. Of more than MOST_SENT the first count; the cookies of the rest stay, and count in the next request.

Answers, by how the session stands when the first byte of the body is there:
5. Not used: nothing is added or taken away, so that it may be cached as before.
6. Used: `Vary` names what the bookmark travels in. Caches shared by users may not keep it: `Cache-Control` becomes
   private, unless it already says so or no-store, and fields for content delivery networks go.
7. Moved: as 6, and it carries the bookmark. A header of that name that the application has set stays beside it.
8. What is done after that is not in the bookmark. A write block that is open by then: the answer is refused, or with
   "owner" the bookmark says "read from the owner" of its store.
9. A read found that something did not survive: the bookmark is what did, and replaces all cookies that were read.

Cookies, as a browser sends requests side by side, and of two answers keeps the later one:
10. An answer to a request that wrote sets a cookie of a name that is used once, and takes away those of that kind that were
    read from the request: their content is in it. So no answer takes away what another one brought.
11. An answer to one that only read sets the one cookie of the plain name. Of reads that ran side by side the last one
    answered counts.
12. A cookie that could not be read stays until it ends by itself: it may be another application's of the same domain, or
    signed with a key that other processes have already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from regionkit.core.given import check_flag
from regionkit.errors import ConfigurationError
from regionkit.topology.validation import shown

__all__ = ["MOST_SENT", "Carriage", "Change", "Cookie", "Received", "answer", "receive"]

MOST_SENT = 32
"""Bookmarks of one request that are read: each costs some microseconds, forged or not. A browser sends two or three."""
LONGEST_LIFE = 400 * 86_400
"""Seconds; browsers keep no cookie longer."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_ONCE = re.compile(r"[0-9a-f]{8}")
_SHARED = frozenset({"public", "s-maxage", "proxy-revalidate"})
"""Directives that speak to caches shared by users."""
FOR_NETWORKS = ("cdn-cache-control", "surrogate-control")
"""Fields that a content delivery network obeys before `Cache-Control`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """The cookie that carries a bookmark to browsers. It is HttpOnly.

    Args:
        name: of the cookie of reads; those of writes have a dash and eight characters more. "__Host-NAME" keeps other
            hosts of the domain from setting it.
        max_age: seconds that a browser keeps it after the last answer that carried one: longer than a copy may lag.
        path: where it is sent to.
        domain: which hosts it is sent to; None: the one that set it.
        secure: sent over TLS only. Off for tests over plain HTTP.
        same_site: "Lax", "Strict" or "None" (sent with requests from pages of other sites; needs `secure`).

    Raises:
        ConfigurationError: a name, path or domain that could break out of the header, or settings that browsers refuse.
    """

    name: str = "regionkit"
    max_age: int = 86_400
    path: str = "/"
    domain: str | None = None
    secure: bool = True
    same_site: Literal["Lax", "Strict", "None"] = "Lax"

    def __post_init__(self) -> None:
        check_token("cookie name", self.name)
        check_flag("secure", self.secure)
        for what, text in (("path", self.path), ("domain", self.domain or "")):
            if not isinstance(text, str) or not re.fullmatch(r"[!-:<-~]*", text):
                raise ConfigurationError(f"a cookie cannot have the {what} {shown(text)}.", fix="write it without ';'.")
        if self.same_site not in ("Lax", "Strict", "None"):
            raise ConfigurationError(f"same_site={shown(self.same_site)}.", fix='"Lax", "Strict" or "None".')
        if self.same_site == "None" and not self.secure:
            raise ConfigurationError("browsers refuse SameSite=None without Secure.", fix="leave secure=True.")
        if self.name.startswith("__Host-") and (not self.secure or self.path != "/" or self.domain is not None):
            raise ConfigurationError(
                f"browsers refuse {self.name!r} with these settings.", fix='it needs secure=True, path="/", no domain.'
            )
        if type(self.max_age) is not int or not 1 <= self.max_age <= LONGEST_LIFE:
            raise ConfigurationError(
                f"max_age={shown(self.max_age)} is not a valid lifetime of a cookie.",
                fix=f"give whole seconds, 1 to {LONGEST_LIFE}.",
            )

    @property
    def attributes(self) -> str:
        """What follows the value and its age."""
        domain = f"; Domain={self.domain}" if self.domain else ""
        return f"; Path={self.path}{domain}; HttpOnly; SameSite={self.same_site}{'; Secure' if self.secure else ''}"

    def set(self, value: str, once: str = "") -> str:
        """The line that sets it; `once`: of the name that is used once."""
        return f"{self.name}{'-' if once else ''}{once}={value}; Max-Age={self.max_age}{self.attributes}"

    def removed(self, name: str) -> str:
        """The line that takes a cookie of this kind away."""
        return f"{name}=; Max-Age=0{self.attributes}"


@dataclass(frozen=True, slots=True)
class Carriage:
    """What bookmarks travel in: a header, a cookie, or both.

    Raises:
        ConfigurationError: neither, or a name that is none.
    """

    header: str | None = "Region-Bookmark"
    cookie: Cookie | None = None

    def __post_init__(self) -> None:
        if self.header is None and self.cookie is None:
            raise ConfigurationError("a bookmark has to travel in something.", fix="give header=, cookie=, or both.")
        if self.header is not None:
            check_token("header name", self.header)
        if self.cookie is not None and not isinstance(self.cookie, Cookie):
            raise ConfigurationError(f"cookie={shown(self.cookie)}.", fix='write cookie=Cookie(name="regionkit").')

    @property
    def names(self) -> frozenset[str]:
        """What it occupies in a request."""
        header = set() if self.header is None else {f"header {self.header}"}
        return frozenset(header | (set() if self.cookie is None else {f"cookie {self.cookie.name}"}))


@dataclass(frozen=True, slots=True)
class Received:
    """What came with a request: bookmarks, each once, and the cookies among them by name."""

    texts: tuple[str, ...] = ()
    cookies: tuple[tuple[str, str], ...] = ()


NOTHING = Received()


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of an answer's headers: fields of these names (small letters) go, then these are added."""

    dropped: frozenset[str] = frozenset()
    added: tuple[tuple[str, str], ...] = ()


UNCHANGED = Change()


def check_token(what: str, name: object) -> None:
    """Refuse what cannot be a name in a header.

    Raises:
        ConfigurationError: it is none.
    """
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise ConfigurationError(f"{shown(name)} is not a {what}.", fix="use letters, digits and dashes, 64 at most.")


def receive(carriage: Carriage, headers: Sequence[str], cookies: Sequence[str]) -> Received:
    """The bookmarks of a request (rules 1, 2, 4). `headers`, `cookies`: the values of all fields of those names."""
    if not headers and (not cookies or carriage.cookie is None):
        return NOTHING
    parts = (part.strip() for line in headers for part in line.split(",", MOST_SENT)[:MOST_SENT])
    texts = dict.fromkeys(list(dict.fromkeys(part for part in parts if part))[:MOST_SENT])
    found: dict[str, str] = {}
    if carriage.cookie is not None:
        for name, value in _ours(carriage.cookie.name, cookies):
            if len(found) == MOST_SENT or (value not in texts and len(texts) == MOST_SENT):
                break
            found.setdefault(name, value)
            texts[value] = None
    return Received(tuple(texts), tuple(found.items()))


def _ours(name: str, lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        if name not in line:
            continue
        for pair in line.split(";"):
            found, _, value = pair.strip().partition("=")
            ours = found == name or (found.startswith(f"{name}-") and _ONCE.fullmatch(found, len(name) + 1))
            if ours and (content := value.strip().strip('"')):
                yield found, content


def answer(
    carriage: Carriage,
    received: Received,
    present: Mapping[str, Sequence[str]],
    *,
    used: bool,
    wrote: bool = False,
    lost: bool = False,
    bookmark: str = "",
    once: str = "",
    unread: Sequence[str] = (),
) -> Change:
    """What becomes of an answer's headers (rules 5 to 12).

    Args:
        carriage: what bookmarks travel in.
        received: what came with the request.
        present: the answer's values of `vary` and `cache-control`, by those names.
        used: the session was asked for something.
        wrote: it has written.
        lost: what it began with counts no more as it was.
        bookmark: what the answer is to carry; "" for nothing.
        once: eight hexadecimal digits that no answer had before.
        unread: texts of `received` that could not be read.
    """
    if not used and not bookmark:
        return UNCHANGED
    added = [("Vary", _vary(carriage, present.get("vary", ()))), ("Cache-Control", _private(present))]
    if bookmark and carriage.header is not None:
        added.append((carriage.header, bookmark))
    if carriage.cookie is not None:
        lines = _cookies(carriage.cookie, received, bookmark, unread, once=once if wrote or lost else "", all_go=lost)
        added += [("Set-Cookie", line) for line in lines]
    return Change(frozenset({"vary", "cache-control", *FOR_NETWORKS}), tuple(added))


def _cookies(
    cookie: Cookie, received: Received, bookmark: str, unread: Sequence[str], *, once: str, all_go: bool
) -> list[str]:
    lines = [cookie.set(bookmark, once)] if bookmark else []
    if once:
        read = [name for name, value in received.cookies if value not in unread]
        lines += [cookie.removed(name) for name in read if all_go or name != cookie.name]
    return lines


def _vary(carriage: Carriage, values: Sequence[str]) -> str:
    fields = [part.strip() for value in values for part in value.split(",") if part.strip()]
    known = {field.lower() for field in fields}
    if "*" in known:
        return "*"
    ours = [*([carriage.header] if carriage.header else []), *(["Cookie"] if carriage.cookie else [])]
    return ", ".join([*fields, *(field for field in ours if field.lower() not in known)])


def _private(present: Mapping[str, Sequence[str]]) -> str:
    directives = [part.strip() for value in present.get("cache-control", ()) for part in value.split(",")]
    kept = [d for d in directives if d and d.partition("=")[0].strip().lower() not in _SHARED]
    if any(d.lower() in ("private", "no-store") for d in kept):
        return ", ".join(kept)
    return ", ".join(["private", *kept])
