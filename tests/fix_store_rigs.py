"""A rig per backend: three regions of one store, a copy that can be held back. The store contract runs over all of them.

Each backend's rig is in a file of its own, `fix_rig_<backend>.py`, and follows `StoreRig`.
"""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

import pytest
from fix_rigs import NAMESPACE, REGIONS

from regionkit import Topology

__all__ = ["NAMESPACE", "REGIONS", "StoreRig"]

BACKENDS = ("sqlite", "postgresql", "mariadb", "mysql", "memory", "redis", "mongo", "cassandra")


class Actions(Protocol):
    """What the contract does with a handle, in the backend's own words. Keys and values are texts."""

    @staticmethod
    def put(db: Any, key: str, value: str) -> Any:
        """Set a value."""

    @staticmethod
    def get(db: Any, key: str) -> Any:
        """The value; None when there is none."""

    @staticmethod
    def add(db: Any, key: str) -> Any:
        """Add one to a number kept as a text or number: not idempotent."""


class StoreRig(Protocol):
    """Store "orders" in REGIONS: the owner in us-east-1 (where there is one), copies in the others."""

    server: str
    Actions: type[Actions]
    AsyncActions: type[Actions]

    def topology(self, **store_options: Any) -> Topology:
        """The topology; keyword arguments go to the store."""

    def held(self) -> contextlib.AbstractContextManager[None]:
        """The copy in ap-northeast-2 applies nothing."""

    def value(self, key: str) -> Any:
        """The value at the owner, asked past the library; None when there is none."""


@pytest.fixture(params=BACKENDS)
def store_rig(request: pytest.FixtureRequest) -> StoreRig:
    """Each backend in turn."""
    found: StoreRig = request.getfixturevalue(f"{request.param}_store_rig")
    return found
