"""URLs as text: taken apart, put together, and shown without their secrets. For every scheme.

Python's urlsplit is not used: its errors print the password. A URL whose parts cannot be told for sure (a raw "@"
behind the address: some password holds a raw "/" or "?") is refused, never guessed, and shown as "scheme://***".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from regionkit.errors import ConfigurationError

__all__ = ["MASK", "UrlParts", "decoded", "mask_url", "split_url"]

MASK = "***"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9.-]*)(?:\+([A-Za-z0-9_]+))?://")
_REST = re.compile(r"([^/?]*)(?:/([^?]*))?(?:\?(.*))?", re.DOTALL)
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::(.*))?", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# Values that a message may show; every other parameter is shown as "***", because no list of secret names is complete.
_SHOWN = frozenset(
    {
        "application_name",
        "cache",
        "charset",
        "connect_timeout",
        "db",
        "dbname",
        "gssencmode",
        "host",
        "hostaddr",
        "mode",
        "port",
        "ssl_ca",
        "ssl_check_hostname",
        "ssl_disabled",
        "ssl_verify_cert",
        "ssl_verify_identity",
        "sslmode",
        "sslnegotiation",
        "sslrootcert",
        "target_session_attrs",
        "timeout",
        "unix_socket",
        "uri",
        "user",
    }
)
_SECRET_NAME = re.compile(r"[a-z_-]{0,40}(?:password|passwd|pwd|passphrase|passfile|secret|token|key)")


@dataclass(frozen=True, slots=True, repr=False)
class UrlParts:
    """A URL taken apart; every part decoded. Its repr and str are masked.

    Attributes:
        scheme: in lower case, without the driver.
        driver: what follows "+" in the scheme; "" when nothing does.
        username: None when there is none.
        password: None when there is none.
        host: "" when there is none; without brackets; may hold several addresses, which nobody has checked.
        port: as written; None when there is none.
        path: what follows the first "/" behind the address, up to "?"; None when there is no such "/".
        query: parameters in order; a value is None when there is no "=".
    """

    scheme: str
    driver: str
    username: str | None
    password: str | None
    host: str
    port: str | None
    path: str | None
    query: tuple[tuple[str, str | None], ...]

    def render(self, *, masked: bool) -> str:
        """The URL again, percent-encoded. With `masked`, secrets are "***"."""
        text = f"{self.scheme}+{self.driver}://" if self.driver else f"{self.scheme}://"
        if self.username is not None or self.password is not None:
            text += quote(self.username or "", safe="")
            if self.password is not None:
                text += ":" + (MASK if masked else quote(self.password, safe=""))
            text += "@"
        text += _quoted_host(self.host)
        if self.port is not None:
            text += ":" + quote(self.port, safe="")
        if self.path is not None:
            text += "/" + quote(self.path, safe="/:")
        if self.query:
            text += "?" + "&".join(_parameter(name, value, masked=masked) for name, value in self.query)
        return text

    def __str__(self) -> str:
        return self.render(masked=True)

    def __repr__(self) -> str:
        return f"UrlParts({self.render(masked=True)!r})"


def _quoted_host(host: str) -> str:
    if "," in host:
        return quote(host, safe=":,[]")
    return f"[{quote(host, safe=':')}]" if ":" in host else quote(host, safe="")


def _parameter(name: str, value: str | None, *, masked: bool) -> str:
    if not masked:
        return quote(name, safe="") if value is None else f"{quote(name, safe='')}={quote(value, safe='')}"
    if value is not None and name in _SHOWN:
        return f"{name}={quote(value, safe='/.:')}"
    return f"{name}={MASK}" if _SECRET_NAME.fullmatch(name) else MASK


def decoded(text: str) -> str:
    """`text` with its percent-encoding taken away.

    Raises:
        ConfigurationError: when that is not UTF-8; it does not show the text.
    """
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        pass
    raise _unreadable("its percent-encoding is not UTF-8.", "encode each part with urllib.parse.quote(part, safe='').")


def _unreadable(why: str, fix: str) -> ConfigurationError:
    return ConfigurationError("a URL cannot be read (not shown, it may hold a password).", why=why, fix=fix)


def split_url(url: str, decode: Callable[[str], str] = decoded) -> UrlParts:
    """Takes `url` apart and decodes each part with `decode` (percent-decoding by default).

    Raises:
        ConfigurationError: when the parts cannot be told for sure; it shows none of them. Or what `decode` raises.
    """
    scheme = _SCHEME.match(url)
    if scheme is None:
        raise _unreadable("it does not begin with a scheme.", "write it as scheme://user:password@host:port/database.")
    if _CONTROL.search(url) or url != url.strip():
        raise _unreadable(
            "it holds a line break or other control character, or blanks at an end.",
            "percent-encode what belongs to the password, and cut the rest off.",
        )
    rest = _REST.fullmatch(url, scheme.end())
    assert rest is not None  # it matches every text
    authority, path, query = rest.group(1), rest.group(2), rest.group(3)
    if scheme.group(1).lower() != "sqlite" and "@" in (path or "") + (query or ""):
        raise _unreadable(
            "there is an '@' after the address: a user name or password seems to hold a raw '/' or '?'.",
            "percent-encode the parts (urllib.parse.quote(part, safe='')), or in TOML take the password from ${NAME}.",
        )
    userinfo, has_userinfo, hostport = authority.rpartition("@")
    username, has_password, password = userinfo.partition(":")
    host, port = _split_hostport(hostport)
    return UrlParts(
        scheme=scheme.group(1).lower(),
        driver=(scheme.group(2) or "").lower(),
        username=decode(username) if has_userinfo else None,
        password=decode(password) if has_password else None,
        host=decode(host),
        port=None if port is None else decode(port),
        path=None if path is None else decode(path),
        query=tuple(_split_query(query or "", decode)),
    )


def _split_hostport(hostport: str) -> tuple[str, str | None]:
    if "," in hostport:
        return hostport, None
    bracketed = _BRACKETED.fullmatch(hostport)
    if bracketed is not None:
        return bracketed.group(1), bracketed.group(2)
    host, has_port, port = hostport.partition(":")
    if ":" in port:
        raise _unreadable("its address holds several ':'.", "put an IPv6 address into [ ].")
    return host, port if has_port else None


def _split_query(query: str, decode: Callable[[str], str]) -> list[tuple[str, str | None]]:
    pairs = (piece.partition("=") for piece in query.split("&") if piece)
    return [(decode(name), decode(value.replace("+", " ")) if equals else None) for name, equals, value in pairs]


def mask_url(url: str) -> str:
    """`url` without its secrets: for messages, logs and reprs.

    Guaranteed: no character of the password is shown, whatever it is made of; of the parameters only those known to be
    harmless are shown. A URL that cannot be read for sure becomes "scheme://***", a text without scheme "***".
    """
    try:
        return split_url(url).render(masked=True)
    except ConfigurationError:
        scheme = _SCHEME.match(url)
    return f"{scheme.group(1).lower()}://{MASK}" if scheme else MASK
