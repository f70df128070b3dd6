"""What a server and an account say of themselves when `regionkit doctor` asks: values only, for rules that are pure.

Each family's `examination` module asks. What an account may not see is left out, and no rule speaks of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

__all__ = ["Discovered", "Examined"]

_NONE: Mapping[str, str] = MappingProxyType({})


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint's server, as its accounts see it.

    Attributes:
        server: its kind, as in `Capabilities.server`.
        version: its number, as text.
        encrypted: whether the connection was; None where nobody can tell.
        certificate_ends: until when the server's certificate is good, seconds since 1970; None: not known, or none.
        skew: seconds that the server's clock is ahead of this machine's, and ...
        skew_error: ... how many of them the way there may account for; None: it does not say its time.
        settings: by name, as the server writes them; what was not readable is left out.
        account: of `url`, as the server knows it.
        rights: of that account, in words of the family's rules.
        read_account: of `read_url`; "" where there is none.
        read_rights: of that account.
        tables: versions of what regionkit keeps there, by name; None where it keeps nothing there.
        writers: other accounts that may write what regionkit keeps, where that is readable.
        lacks: rights on what regionkit keeps that the account lacks: (right, how to grant it).
    """

    server: str
    version: str = ""
    encrypted: bool | None = None
    certificate_ends: float | None = None
    skew: float | None = None
    skew_error: float = 0.0
    settings: Mapping[str, str] = _NONE
    account: str = ""
    rights: frozenset[str] = frozenset()
    read_account: str = ""
    read_rights: frozenset[str] = frozenset()
    tables: Mapping[str, int] | None = None
    writers: tuple[str, ...] = ()
    lacks: tuple[tuple[str, str], ...] = ()


class Discovered(msgspec.Struct, frozen=True, kw_only=True):
    """A server that another one named, or that was asked; for `regionkit init`.

    Attributes:
        host: as the server that named it knows it; "" where it did not say.
        port: of the server; 0 where nobody knows it.
        role: "primary" or "replica"; "any" of a data centre.
        region: that it says itself: the member tag, the data centre; "" elsewhere.
        note: what is not known of it, in words.
    """

    host: str
    port: int
    role: str
    region: str = ""
    note: str = ""
