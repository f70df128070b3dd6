"""What a session has written and seen, as a short signed string that other processes understand.

1. Per source (store and partition) a bookmark holds entries (history, epoch, position), one per history. A copy serves it
   when every entry of the source is satisfied there.
2. An entry without a position says "read from the owner": the position could not be had, or did not fit.
3. A source without an entry, while its store has others, is read from the owner: nothing is known, so nothing is assumed.
4. Merging takes, per source and history, the later position; "read from the owner" wins over any position, also where only rule 3
   says so: the whole asks for all that each part asks for.
5. What leaves the process is signed (HMAC-SHA256 cut to 16 bytes, over namespace and content) and at most 2 KiB long.
   What does not fit collapses to "read from the owner"; nothing is dropped.
6. Verifying does no I/O and waits for nothing: a forged bookmark costs the server some microseconds.

Text: `rk1.` + base64url(key id 4 bytes, mac 16 bytes, msgpack), or unsigned `rk0.` + base64url(msgpack).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Sequence

import msgspec

from regionkit.errors import ConfigurationError, InvalidBookmark, UsageError
from regionkit.facts.position import Position, later

__all__ = ["EMPTY", "LARGEST_BOOKMARK", "MOST_ENTRIES", "Bookmark", "Entry", "Signer", "merge", "source"]

LARGEST_BOOKMARK = 2048
"""Longest text given out or taken, characters: it travels in a header or cookie (4 KiB at most, others need room)."""
MOST_ENTRIES = 4
"""Histories remembered per source. More means more promotions than a request lives through: read from the owner."""
MOST_MERGED = 64
"""Most bookmarks taken in one sequence: a fan-in of more is a design to look at, and the work per request is bounded."""
SHORTEST_KEY = 16
"""Shortest signing key taken, characters: a shorter one can be guessed."""

_LEAST_STORE = 8
"""Bytes of a store of which nothing is left but "read from the owner": a name of one letter, its slash, an entry."""
_MAC = 16
_KEY_ID = 4


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A position in a history. `position` None: read from the owner. `from_read`: of a read, not of a write."""

    history: str
    epoch: int
    position: Position | None
    from_read: bool = False


OWNER_ONLY = Entry("", 0, None)
"""Nothing is known but that something was written or seen: read from the owner."""


class Bookmark(msgspec.Struct, frozen=True, array_like=True):
    """What was written and seen. Immutable by agreement: its mappings are never changed after making.

    Attributes:
        sources: entries by source (see `source`).
        placements: highest placement version seen, by store.
        everything: True when all sources collapsed: read every store from its owner, and look up every placement afresh
            that `placements` does not name.
    """

    sources: dict[str, tuple[Entry, ...]] = {}
    placements: dict[str, int] = {}
    everything: bool = False

    def entries(self, store: str, partition: str = "") -> tuple[Entry, ...]:
        """What a copy of this source has to satisfy; empty when nothing was written or seen in the store."""
        found = self.sources.get(source(store, partition), ())
        collapsed = self.everything or (partition != "" and source(store) in self.sources)
        if not collapsed and (found or not any(name.startswith(f"{store}/") for name in self.sources)):
            return found
        return _joined((OWNER_ONLY, *found))

    def add(self, store: str, entry: Entry, partition: str = "") -> Bookmark:
        """This bookmark and one more entry."""
        name = source(store, partition)
        sources = dict(self.sources)
        sources[name] = _joined((*sources.get(name, ()), entry))
        return Bookmark(sources, self.placements, self.everything)

    def placed(self, store: str, version: int) -> Bookmark:
        """This bookmark, which has seen a placement of `version`; the same one when it had."""
        if version <= self.placements.get(store, 0):
            return self
        return Bookmark(self.sources, {**self.placements, store: version}, self.everything)

    def set(self, store: str, entries: tuple[Entry, ...], partition: str = "") -> Bookmark:
        """This bookmark with the source's entries replaced."""
        sources = dict(self.sources)
        sources.pop(source(store, partition), None)
        if entries:
            sources[source(store, partition)] = _joined(entries)
        return Bookmark(sources, self.placements, self.everything)


EMPTY = Bookmark()


def source(store: str, partition: str = "") -> str:
    """Name of a source. A store with one owner has one partition, the empty name."""
    return f"{store}/{partition}"


def merge(bookmarks: Iterable[Bookmark]) -> Bookmark:
    """One bookmark that asks for all that each of them asks for."""
    sources: dict[str, tuple[Entry, ...]] = {}
    placements: dict[str, int] = {}
    everything = False
    parts = list(bookmarks)
    for bookmark in parts:
        everything |= bookmark.everything
        for name, entries in bookmark.sources.items():
            sources[name] = _joined((*sources.get(name, ()), *entries)) if name in sources else entries
        for store, version in bookmark.placements.items():
            placements[store] = max(version, placements.get(store, 0))
    if len(parts) > 1:
        for bookmark in parts:
            known = {_store_of(name) for name in bookmark.sources}
            for name in sources.keys() - bookmark.sources.keys():
                if _store_of(name) in known:
                    sources[name] = _joined((OWNER_ONLY, *sources[name]))
    return Bookmark(sources, placements, everything)


def _store_of(name: str) -> str:
    return name.partition("/")[0]


def _joined(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """One entry per history, oldest first. Of too many histories the newest stay, the rest becomes the owner alone.

    The order of arrival makes no difference, nor does joining twice: merging is a join in the mathematical sense.
    """
    kept: dict[str, Entry] = {}
    for entry in entries:
        other = kept.get(entry.history)
        kept[entry.history] = entry if other is None else _join(other, entry)
    if len(kept) == 1:
        return tuple(kept.values())
    told = sorted((e for e in kept.values() if e.history), key=lambda e: (e.epoch, e.history))
    if len(told) < len(kept) or len(told) > MOST_ENTRIES:
        return (OWNER_ONLY, *told[-MOST_ENTRIES:])
    return tuple(told)


def _join(a: Entry, b: Entry) -> Entry:
    """All that two entries of one history ask for."""
    position: Position | None = None
    if a.position is not None and b.position is not None:
        try:
            position = later(a.position, b.position)
        except ValueError:
            pass  # kinds differ: no server of ours wrote both; the owner decides
    return Entry(a.history, max(a.epoch, b.epoch), position, a.from_read or b.from_read)


class Signer:
    """Turns bookmarks into text and back. Immutable; shared freely.

    Args:
        namespace: part of what is signed, so that a bookmark of another application is refused.
        keys: signing keys. The first signs, all verify: two while rotating. None: unsigned, for trusted callers only.
    """

    __slots__ = ("_keys", "_namespace", "signs")

    def __init__(self, namespace: str, keys: Sequence[str]) -> None:
        if any(len(key) < SHORTEST_KEY for key in keys):
            raise ConfigurationError(
                "a bookmark key is too short.",
                why=f"at least {SHORTEST_KEY} characters are needed, or it can be guessed.",
                fix="make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            )
        secrets = [hashlib.sha256(key.encode()).digest() for key in keys]
        self._keys = [(hashlib.sha256(b"id" + secret).digest()[:_KEY_ID], secret) for secret in secrets]
        self._namespace = namespace.encode()
        self.signs = bool(keys)

    def reads(self, other: Signer) -> bool:
        """Whether what `other` signs from now on can be read here."""
        return (
            self.signs
            and self._namespace == other._namespace
            and other._keys[:1] != []
            and other._keys[0] in self._keys
        )

    def encode(self, bookmark: Bookmark) -> str:
        """The bookmark as text of at most 2 KiB; "" when it asks for nothing."""
        if bookmark == EMPTY:
            return ""
        most = (LARGEST_BOOKMARK - len("rk1.")) * 3 // 4 - (_KEY_ID + _MAC if self.signs else 0)
        for smaller in _ever_smaller(bookmark, most):
            text = self._text(smaller)
            if len(text) <= LARGEST_BOOKMARK:
                return text
        placed = self._text(Bookmark(placements=bookmark.placements, everything=True))
        return placed if len(placed) <= LARGEST_BOOKMARK else self._text(Bookmark(everything=True))

    def decode(self, text: str | Sequence[str] | None) -> Bookmark:
        """The bookmark in `text`; of a sequence, all of them merged; of None or "", an empty one.

        Raises:
            InvalidBookmark: malformed, too long, tampered with, or signed by none of our keys. Nothing is waited for.
            UsageError: it is no text and no sequence.
        """
        if not text:
            return EMPTY
        if isinstance(text, str):
            return self._bookmark(text)
        if not isinstance(text, Sequence) or isinstance(text, bytes):
            raise UsageError(
                f"a {type(text).__name__} is not a bookmark.",
                fix="pass the text that s.bookmark() gave (await it in asyncio), or a list of such texts.",
            )
        if len(text) > MOST_MERGED:
            raise _invalid(f"{len(text)} bookmarks in one sequence.", f"at most {MOST_MERGED} are merged at once.")
        return merge([self._bookmark(one) for one in text if one])

    def _text(self, bookmark: Bookmark) -> str:
        payload = msgspec.msgpack.encode(bookmark)
        if not self._keys:
            return "rk0." + base64.urlsafe_b64encode(payload).rstrip(b"=").decode()
        key_id, secret = self._keys[0]
        return "rk1." + base64.urlsafe_b64encode(key_id + self._mac(secret, payload) + payload).rstrip(b"=").decode()

    def _mac(self, secret: bytes, payload: bytes) -> bytes:
        return hmac.digest(secret, self._namespace + b"\x00" + payload, "sha256")[:_MAC]

    def _bookmark(self, text: object) -> Bookmark:
        if not isinstance(text, str) or len(text) > LARGEST_BOOKMARK or text[:4] not in ("rk0.", "rk1."):
            raise _invalid(
                "this is not a bookmark.", "a bookmark is a text that s.bookmark() returned, at most 2 KiB long."
            )
        if (text[:4] == "rk1.") != self.signs:
            why = "this kit signs its bookmarks, this one is unsigned." if self.signs else "this kit has no key for it."
            raise _invalid("a bookmark of another kind.", why)
        try:
            raw = base64.b64decode(text[4:] + "=" * (-len(text[4:]) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if base64.urlsafe_b64encode(raw).rstrip(b"=") != text[4:].encode("utf-8", "replace"):  # one text per content
            raise _invalid("a bookmark that is not base64.", "it was cut or changed on its way.")
        if self.signs:
            key_id, mac, raw = raw[:_KEY_ID], raw[_KEY_ID : _KEY_ID + _MAC], raw[_KEY_ID + _MAC :]
            good = [
                s
                for i, s in self._keys
                if hmac.compare_digest(i, key_id) and hmac.compare_digest(self._mac(s, raw), mac)
            ]
            if not good:
                raise _invalid(
                    "a bookmark whose signature is wrong.", "it was changed, or signed with a key this kit lacks."
                )
        try:
            return msgspec.msgpack.decode(raw, type=Bookmark)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise _invalid(
                "a bookmark with unreadable content.", "it was made by another version, or changed."
            ) from None


def _ever_smaller(bookmark: Bookmark, most: int) -> Iterable[Bookmark]:
    """The bookmark, then with ever more of its stores read from the owner, the bulkiest first: those that may fit `most` bytes.

    Nothing is encoded that cannot fit: a bookmark of any size costs less than two milliseconds.
    """
    encode = msgspec.msgpack.encode
    stores: dict[str, dict[str, tuple[Entry, ...]]] = {}
    for name, entries in bookmark.sources.items():
        stores.setdefault(_store_of(name), {})[name] = entries
    if len(stores) * _LEAST_STORE > most:
        return  # they do not fit, whatever is left of each
    sizes = {  # but for the head of the map
        store: least if (least := len(sources) * _LEAST_STORE) > most else len(encode(sources)) - 1
        for store, sources in stores.items()
    }
    size = sum(sizes.values()) + len(encode(bookmark.placements))
    bulky = sorted(sizes, key=sizes.__getitem__, reverse=True)
    for count, store in enumerate(["", *bulky]):
        if store:
            stores[store] = {source(store): (OWNER_ONLY,)}
            size += len(encode(stores[store])) - 1 - sizes[store]
        if size <= most or count == len(bulky):
            kept = {name: entries for sources in stores.values() for name, entries in sources.items()}
            yield Bookmark(kept, bookmark.placements, bookmark.everything)


def _invalid(what: str, why: str) -> InvalidBookmark:
    return InvalidBookmark(
        what, why=why, fix="begin without it (bookmark=None); reads then see no earlier session's writes."
    )
