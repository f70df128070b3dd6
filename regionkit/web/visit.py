"""One request, from its headers to those of its answer: what the shells of ASGI and WSGI share, and other frameworks can call.

`carriage.py` holds the rules. A visit belongs to one request; a carrier is shared by all threads and tasks.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from regionkit.errors import ConfigurationError, InvalidBookmark, RegionKitError, UsageError
from regionkit.kit import RegionKit
from regionkit.kit_async import AsyncRegionKit
from regionkit.routing.events import AnsweredBeforeWrite, BookmarkRefused
from regionkit.routing.session_async import AsyncRegionSession
from regionkit.routing.session_standing import SessionStanding
from regionkit.topology.validation import shown
from regionkit.web import carriage
from regionkit.web.carriage import Carriage, Change, Cookie, Received

__all__ = ["Carrier", "OpenWrites", "Visit"]

OpenWrites = Literal["refuse", "owner"]

_ASKED_FOR = frozenset({"vary", "cache-control"})


class Carrier:
    """Gives each request its session, and each answer its bookmark. Shared by threads and tasks.

    The middleware has one; use it yourself where there is no ASGI or WSGI.

    Args:
        kit: sync or async; it needs `bookmark_keys`.
        header: the header that carries bookmarks both ways; None for none.
        cookie: the cookie that does; None for none.
        open_writes: what becomes of an answer that begins while a write block of its session is open: "refuse" raises
            UsageError, "owner" lets it go with a bookmark that says "read from the owner" of that store.

    Raises:
        ConfigurationError: the kit has no `bookmark_keys`, or a bad name.
    """

    def __init__(
        self,
        kit: RegionKit | AsyncRegionKit,
        *,
        header: str | None = "Region-Bookmark",
        cookie: Cookie | None = None,
        open_writes: OpenWrites = "refuse",
    ) -> None:
        if not isinstance(kit, RegionKit | AsyncRegionKit):
            raise ConfigurationError(f"{shown(kit)} is not a kit.", fix="pass a RegionKit or an AsyncRegionKit.")
        if not kit.signer.signs:
            raise ConfigurationError(
                "the kit has no bookmark_keys, so its bookmarks cannot be given to clients.",
                why="an unsigned bookmark can be invented: it would send anybody's reads to the owner.",
                fix='set bookmark_keys = ["${BOOKMARK_KEY}"] in the TOML, or RegionKit(..., bookmark_keys=[key]), the same in '
                "every region; make a key with: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            )
        if open_writes not in ("refuse", "owner"):
            raise ConfigurationError(f"open_writes={shown(open_writes)}.", fix='"refuse" or "owner".')
        self.kit = kit
        self.carriage = Carriage(header, cookie)
        self.open_writes = open_writes
        self.header_name = (header or "").lower()

    def begin(self, headers: Iterable[tuple[str, str]], **options: Any) -> Visit:
        """The visit of a request with these headers; its session is made, and is not the current one yet.

        Args:
            headers: all of them, in pairs of name and value.
            options: of `kit.session`, such as `attributes`.

        Raises:
            UsageError: the kit is closed, or belongs to another event loop.
        """
        found: list[str] = []
        cookies: list[str] = []
        for name, value in headers:
            name = name.lower()
            if name == self.header_name:
                found.append(value)
            elif name == "cookie":
                cookies.append(value)
        return self.visit(found, cookies, options)

    def visit(self, headers: list[str], cookies: list[str], options: Mapping[str, Any]) -> Visit:
        """As `begin`, from the values of the two fields that count."""
        received = carriage.receive(self.carriage, headers, cookies)
        try:
            return Visit(self, received, self.kit.session(bookmark=received.texts, **options))
        except InvalidBookmark:
            pass
        good, refused = [], {}
        for text in received.texts:
            try:
                self.kit.signer.decode(text)
                good.append(text)
            except InvalidBookmark as error:
                refused[text] = error.why
        self.kit.hooks.emit(BookmarkRefused(len(refused), next(iter(refused.values()))))
        return Visit(self, received, self.kit.session(bookmark=good, **options), tuple(refused))


class Visit:
    """One request and its session.

    Attributes:
        session: of the carrier's kit.
    """

    __slots__ = ("_carrier", "_received", "_unread", "_writes", "session")

    def __init__(self, carrier: Carrier, received: Received, session: Any, unread: tuple[str, ...] = ()) -> None:
        self._carrier = carrier
        self._received = received
        self._unread = unread
        self._writes = -1
        self.session = session

    @property
    def carries(self) -> bool:
        """Whether the session has something by now that the client has to be told."""
        standing: SessionStanding = self.session.standing()
        return standing.moved or standing.lost or standing.dropped

    def headers(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """The headers of the answer, given the application's. Call it when the answer's first byte is there, for a sync kit.

        May ask a server for the position of what was read.

        Raises:
            UsageError: a write block of the session is open, and the carrier refuses that.
        """
        return changed(headers, self.change(present(headers)))

    async def headers_async(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """As `headers`, in asyncio: for a kit of either form."""
        return changed(headers, await self.change_async(present(headers)))

    def change(self, found: Mapping[str, list[str]], *, failed: bool = False) -> Change:
        """What becomes of an answer's headers. `found`: see `carriage.answer`; `failed`: the answer says so."""
        standing = self._standing(failed)
        if not standing.used:
            return carriage.UNCHANGED
        text = _closing(self.session, standing.lost)
        return self._change(found, standing, text)

    async def change_async(self, found: Mapping[str, list[str]], *, failed: bool = False) -> Change:
        """As `change`, in asyncio."""
        standing = self._standing(failed)
        if not standing.used:
            return carriage.UNCHANGED
        if isinstance(self.session, AsyncRegionSession):
            text = await _closing_async(self.session, standing.lost)
        elif standing.lost or not standing.settled:  # it asks a server: not in the loop
            text = await asyncio.to_thread(_closing, self.session, standing.lost)
        else:
            text = self.session.bookmark()
        return self._change(found, standing, text)

    def ended(self, path: str) -> None:
        """The request is over; tells what its answer did not cover."""
        if -1 < self._writes < self.session.standing().writes:
            self._carrier.kit.hooks.emit(AnsweredBeforeWrite(path))

    def _standing(self, failed: bool) -> SessionStanding:
        """How the session stands, its open write blocks dealt with."""
        standing: SessionStanding = self.session.standing()
        self._writes = standing.writes
        if not standing.writing:
            return standing
        store, partition = standing.writing[0]
        if self._carrier.open_writes == "refuse" and not failed:
            raise UsageError(
                f"the response begins while a write block of its session on {store!r} is open.",
                why="its COMMIT could fail after the client has seen success, and the bookmark cannot cover it.",
                fix="end the block first (in FastAPI by Depends(..., scope='function')), give a task that runs after the "
                "response its own session with s.fork(), or set open_writes='owner'.",
            )
        for store, partition in standing.writing:
            self.session.saw(store, None, partition, wrote=True)
        after: SessionStanding = self.session.standing()
        self._writes = after.writes + len(after.writing)  # what these commit is covered
        return after

    def _change(self, found: Mapping[str, list[str]], before: SessionStanding, text: str) -> Change:
        standing: SessionStanding = self.session.standing()
        dropped = before.lost or standing.dropped
        return carriage.answer(
            self._carrier.carriage,
            self._received,
            found,
            used=True,
            wrote=standing.writes > 0,
            lost=dropped,
            bookmark=text if standing.moved or dropped else "",
            once=secrets.token_hex(4),
            unread=self._unread,
        )


def present(headers: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """What `carriage.answer` has to know of an answer's headers."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        name = name.lower()
        if name in _ASKED_FOR:
            found.setdefault(name, []).append(value)
    return found


def changed(headers: Iterable[tuple[str, str]], change: Change) -> list[tuple[str, str]]:
    """Headers after a change."""
    return [*((n, v) for n, v in headers if n.lower() not in change.dropped), *change.added]


def _closing(session: Any, lost: bool) -> str:
    """The bookmark that leaves. An owner that does not answer now delays what was lost to the next answer."""
    if lost:
        try:
            session.accept_loss()
        except RegionKitError:
            pass
    text: str = session.bookmark()
    return text


async def _closing_async(session: AsyncRegionSession, lost: bool) -> str:
    if lost:
        try:
            await session.accept_loss()
        except RegionKitError:
            pass
    return await session.bookmark()
