"""An endpoint: one address of one store in one region, and the role it has at the start.

What a server reports later wins over `role`. Reprs are masked; `url` itself is what a backend connects with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, get_args

from regionkit.errors import ConfigurationError
from regionkit.topology.urls import Tls, mask_url
from regionkit.topology.validation import did_you_mean, sequence_of, shown

__all__ = ["Endpoint", "Role"]

# wider than a region's name, so that the topology can say which one was meant; too narrow for a URL in the wrong place
_REGION = re.compile(r"[A-Za-z0-9_.-]{1,63}")


class Role(StrEnum):
    """What an endpoint does for its store."""

    PRIMARY = "primary"
    REPLICA = "replica"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Endpoint:
    """One address of one store in one region. Immutable; hashable when `client` is.

    Attributes:
        region: name of its region.
        role: the initial role; the role that the server reports takes precedence later.
        url: where to connect; None when `client` is given. Holds the password: show `repr(endpoint)` instead.
        of: for a replica, the region of the primary that it copies.
        tls: as given: None ("require" off loopback, "off" on it), "require" or "off".
        read_url: the same address with another account, used for reads.
        client: an engine or client of the application, instead of a URL.
        partitions: partitions that it holds, where the home function names partitions.
        id: unique in its store and the same in every process: the region, or "region#2" for its second endpoint there,
            in the order given. Set by the store; not part of equality.
    """

    region: str
    role: Role
    url: str | None
    of: str | None
    tls: Tls | None
    read_url: str | None
    client: Any
    partitions: tuple[str, ...]
    id: str = field(init=False, compare=False)

    def __init__(
        self,
        region: str,
        role: Role | str,
        url: str | None = None,
        *,
        of: str | None = None,
        tls: Tls | None = None,
        read_url: str | None = None,
        client: Any = None,
        partitions: Iterable[str] = (),
    ) -> None:
        """Checks what can be seen without the store and the topology.

        Raises:
            ConfigurationError: not exactly one of `url` and `client`; an unknown role or tls; `of` on a primary;
                `read_url` or `tls` beside `client`; an empty or repeated partition.
        """
        if not isinstance(region, str) or not _REGION.fullmatch(region):
            raise ConfigurationError(
                f"an endpoint's region must be the name of a region, not {shown(region)}.",
                fix='write Endpoint("us-east-1", Role.PRIMARY, url).',
            )
        where = f"endpoint in {shown(region)}"
        if role not in tuple(Role):
            raise ConfigurationError(f"{where}: {shown(role)} is not a role.", fix=did_you_mean(role, Role))
        if tls is not None and tls not in get_args(Tls):
            raise ConfigurationError(f"{where}: tls is {shown(tls)}.", fix=did_you_mean(tls, get_args(Tls)))
        _check_address(where, url, read_url, tls, client)
        if of is not None and (not isinstance(of, str) or not _REGION.fullmatch(of) or role == Role.PRIMARY):
            raise ConfigurationError(
                f"{where}: of={shown(of)} on a {Role(role)}.",
                why="`of` is the region of the primary that a replica copies.",
                fix="leave it out on a primary; on a replica name a region.",
            )
        held = sequence_of(f"{where}: partitions", partitions, str)
        if "" in held or len(set(held)) != len(held):
            raise ConfigurationError(f"{where}: a partition is empty or named twice.", fix="name each once.")
        values = (region, Role(role), url, of, tls, read_url, client, held, region)
        for name, value in zip(self.__slots__, values):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        shown_fields = [repr(self.region), f"Role.{self.role.name}"]
        if self.url is not None:
            shown_fields.append(repr(mask_url(self.url)))
        if self.read_url is not None:
            shown_fields.append(f"read_url={mask_url(self.read_url)!r}")
        if self.client is not None:
            shown_fields.append(f"client=<{type(self.client).__name__}>")
        if self.of is not None:
            shown_fields.append(f"of={self.of!r}")
        if self.tls is not None:
            shown_fields.append(f"tls={self.tls!r}")
        if self.partitions:
            shown_fields.append(f"partitions={self.partitions!r}")
        return f"Endpoint({', '.join(shown_fields)})"

    def member(self, identifier: str, region: str, url: str) -> Endpoint:
        """One member of the cluster that this endpoint's URL describes; `region` "" where it says so itself."""
        copy = self.named(identifier)
        object.__setattr__(copy, "region", region)
        object.__setattr__(copy, "url", url)
        return copy

    def named(self, identifier: str) -> Endpoint:
        """The same endpoint with this `id`."""
        copy = Endpoint.__new__(Endpoint)
        for name in self.__slots__:
            object.__setattr__(copy, name, getattr(self, name))
        object.__setattr__(copy, "id", identifier)
        return copy


def _check_address(where: str, url: object, read_url: object, tls: object, client: object) -> None:
    if (url is None) == (client is None):
        raise ConfigurationError(
            f"{where}: needs exactly one of url and client.",
            why="an endpoint is one address." if url is not None else "there is nothing to connect to.",
            fix="give url=, or an engine or client of yours as client=.",
        )
    for name, value in (("url", url), ("read_url", read_url)):
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"{where}: {name} must be a string, not {shown(value)}.", fix="pass a URL.")
    if client is not None and (read_url is not None or tls is not None):
        raise ConfigurationError(
            f"{where}: read_url and tls go with url, not with client.",
            why="a client of yours brings its own account and its own TLS.",
            fix="leave them out, or give a url.",
        )
