"""What the two shells do alike beside bookmarks: the readiness endpoint, and telling nested middleware apart."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from regionkit.errors import ConfigurationError, UsageError
from regionkit.kit import RegionKit
from regionkit.kit_async import AsyncRegionKit
from regionkit.topology.validation import shown
from regionkit.web.readiness import CLOSED, OF_READINESS, Readiness, readiness
from regionkit.web.visit import Carrier

__all__ = ["READY", "Probe", "claimed"]

READY = "/regionkit/ready"
"""Default path of the readiness endpoint."""
CLAIMS = "regionkit.web"
"""Key in a scope or environ: which kits have a session in this request, and what their bookmarks travel in."""


class Probe:
    """The readiness endpoint of one kit.

    Attributes:
        path: of the endpoint; None: there is none.
    """

    def __init__(self, kit: RegionKit | AsyncRegionKit, path: str | None) -> None:
        if path is not None and (not isinstance(path, str) or not path.startswith("/")):
            raise ConfigurationError(
                f"ready={shown(path)} is not a path.", fix=f'write ready="{READY}", or None for none.'
            )
        self.path = path
        self._kit = kit
        self._proved: frozenset[tuple[str, str]] = frozenset()

    def answer(self, method: str, query: str) -> tuple[int, list[tuple[str, str]], bytes]:
        """Status, headers and body."""
        if method not in ("GET", "HEAD"):
            return 405, [("Allow", "GET, HEAD"), ("Content-Length", "0")], b""
        found = self._found(now=query.partition("=")[0] == "now")
        headers = [*OF_READINESS, ("Content-Length", str(len(found.body)))]
        return found.status, headers, b"" if method == "HEAD" else found.body

    def _found(self, *, now: bool) -> Readiness:
        try:
            self._kit.session()  # starts the monitor, which proves the stores
        except UsageError:
            return CLOSED
        status = self._kit.status()
        found = readiness(status.local, status.endpoints, self._proved, now=now)
        self._proved = self._proved | found.proved if now else found.proved
        return found


def claimed(request: MutableMapping[str, Any], carrier: Carrier) -> bool:
    """Whether this middleware serves the request; no, where one outside has a session of the same kit already.

    Two kits may share a header where each reads what the other signs: a sync and an async one of the same application.

    Raises:
        ConfigurationError: one outside, of a kit with other keys or another namespace, uses the same header or cookie.
    """
    names = carrier.carriage.names
    claims: tuple[tuple[RegionKit | AsyncRegionKit, frozenset[str]], ...] = request.get(CLAIMS, ())
    for kit, taken in claims:
        if kit is carrier.kit:
            return False
        if taken & names and not carrier.kit.signer.reads(kit.signer):
            raise ConfigurationError(
                f"two kits carry their bookmarks in the {', '.join(sorted(taken & names))}.",
                why="each would reject the other's as forged.",
                fix='give the middleware of each kit its own header= or Cookie(name=): header="Orders-Bookmark".',
            )
    request[CLAIMS] = (*claims, (carrier.kit, names))
    return True
