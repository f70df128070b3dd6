"""What the doctor's rules look at: values that a shell has collected. Pure.

`None` and "" stand for "nobody could tell": no rule speaks of what is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from regionkit.contract.examination import Examined
from regionkit.topology import Profile

__all__ = ["DriverFacts", "EndpointFacts", "Facts", "StoreFacts"]


class StoreFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One store.

    Attributes:
        name: of the store.
        backend: as in TOML.
        leaderless: any allowed region takes writes.
        cautions: what its class says of its URL.
        cache_only: it serves as shared tier of caches and nothing else is known of it.
        regions: where it has allowed endpoints.
        pool_size: connections of one pool of one endpoint in a process, bursts included.
        datacenters: Cassandra: names of the data centres that the topology has.
    """

    name: str
    backend: str
    leaderless: bool = False
    cautions: tuple[str, ...] = ()
    cache_only: bool = False
    regions: tuple[str, ...] = ()
    pool_size: int = 0
    datacenters: tuple[str, ...] = ()


class EndpointFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint.

    Attributes:
        store: its name.
        endpoint: its id.
        region: where it is.
        partition: of a partitioned store; "" elsewhere.
        declared: "primary" or "replica"; "" where the server alone says it.
        found: "owner", "primary", "replica" or "any", as in the status.
        allowed: residency lets data be there.
        state: as in the status: "up", or why not.
        advice: as in the status.
        lag: seconds it may be behind.
        rtt: seconds of a question.
        loopback: its address is this machine.
        host: host and port of its URL, without the account.
        examined: what the server said; None: it could not be asked, and ...
        failed: ... why.
    """

    store: str
    endpoint: str
    region: str
    partition: str = ""
    declared: str = ""
    found: str = ""
    allowed: bool = True
    state: str = "up"
    advice: str = ""
    lag: float | None = None
    rtt: float | None = None
    loopback: bool = True
    host: str = ""
    examined: Examined | None = None
    failed: str = ""

    @property
    def subject(self) -> str:
        """How a finding names it."""
        return f"{self.store} {self.endpoint}"

    @property
    def is_primary(self) -> bool:
        """Whether it takes the writes, as far as is known."""
        return self.found in ("owner", "primary", "any")

    def setting(self, name: str) -> str:
        """A setting, in small letters; "" where it is not known."""
        return "" if self.examined is None else self.examined.settings.get(name, "").lower()


class DriverFacts(msgspec.Struct, frozen=True):
    """A package that a backend uses. `wanted`: the range that was tested, as pip writes it; `fits`: it is within."""

    package: str
    version: str
    wanted: str
    fits: bool


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that was collected.

    Attributes:
        local: the region that was looked from.
        profile: times of the kit.
        signs: bookmarks are signed.
        stores: by name.
        endpoints: of all stores.
        drivers: packages in use.
        tables: versions of what routing keeps, as this regionkit wants them, by family and name.
        known: versions of every pillar's tables, by name.
        passwords: paths in the TOML file where a password is written out.
    """

    local: str
    profile: Profile
    signs: bool = True
    stores: Mapping[str, StoreFacts] = MappingProxyType({})
    endpoints: tuple[EndpointFacts, ...] = ()
    drivers: tuple[DriverFacts, ...] = ()
    tables: Mapping[str, Mapping[str, int]] = MappingProxyType({})
    known: Mapping[str, int] = MappingProxyType({})
    passwords: tuple[str, ...] = ()

    def of(self, store: str, partition: str | None = None) -> list[EndpointFacts]:
        """Endpoints of a store, or of one of its partitions."""
        return [e for e in self.endpoints if e.store == store and partition in (None, e.partition)]
