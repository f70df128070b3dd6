"""Where the story plays: the small interface of a stage, and the one that needs nothing but Python."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, Self

from regionkit.embedded import SqliteRegions
from regionkit.kit import RegionKit
from regionkit.topology import Topology

__all__ = ["HEIR", "HOME", "LOCAL", "NAMES", "STORE", "EmbeddedStage", "Stage"]

STORE = "airports"
HOME = "us-east-1"
LOCAL = "ap-northeast-2"
HEIR = "ap-northeast-1"
NAMES = {HOME: "Virginia", LOCAL: "Seoul", HEIR: "Tokyo"}
"""The cast: HOME takes the writes at first, LOCAL is where we are, HEIR is promoted."""


class Stage(AbstractContextManager["Stage"], Protocol):
    """Three regions with one store. Entered, they run; at the end they are gone.

    Attributes:
        name: "embedded" or "real".
        about: what they are, in a line or two of at most 80 columns.
        lag: seconds that the copies are behind on purpose.
        profile: for the kit.
        calls: how `kill`, `promote` and `revive` are told.
    """

    name: str
    about: str
    lag: float
    profile: dict[str, Any]
    calls: dict[str, str]

    @property
    def topology(self) -> Topology:
        """For the kit."""
        ...

    def kill(self) -> None:
        """HOME dies."""
        ...

    def promote(self) -> None:
        """HEIR becomes the primary."""
        ...

    def settle(self) -> None:
        """LOCAL copies HEIR from now on."""
        ...

    def revive(self, kit: RegionKit) -> None:
        """HOME comes back, as a copy of HEIR."""
        ...


class EmbeddedStage:
    """Three SQLite files in a folder."""

    name = "embedded"

    def __init__(self, folder: Path, lag: float) -> None:
        self.lag = lag
        self.profile: dict[str, Any] = {}
        self.about = (
            "Three regions on this machine: one SQLite file each, real routing code.\n"
            f"Virginia (us-east-1) takes the writes; copies arrive {lag:g} s later in Tokyo\n"
            "(ap-northeast-1) and in Seoul (ap-northeast-2), where we are."
        )
        self.calls = {verb: f'regions.{verb}("{region}")' for verb, region in _WHOM.items()}
        self._regions = SqliteRegions(
            folder, store=STORE, primary=HOME, replicas=[LOCAL, HEIR], lag=lag, namespace="demo"
        )

    @property
    def topology(self) -> Topology:
        """As the folder says."""
        return self._regions.topology

    def kill(self) -> None:
        """An outage file: every statement and connection fails."""
        self._regions.kill(HOME)

    def promote(self) -> None:
        """The history row in the heir's file."""
        self._regions.promote(HEIR)

    def settle(self) -> None:
        """Nothing to do: whoever is owner is copied."""

    def revive(self, kit: RegionKit) -> None:
        """As a fresh copy."""
        self._regions.revive(HOME)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._regions.close()


_WHOM = {"kill": HOME, "promote": HEIR, "revive": HOME}
