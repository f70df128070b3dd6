# Generated from copies_async.py by scripts/twins.py. Do not edit.
"""What a backing asks of the endpoints of its store: which copies have what was committed, and, without a kit, who counts."""

from __future__ import annotations

from regionkit.core.deadline import Deadline
from regionkit.core.ids import uuid7
from regionkit.facts.history import HistoryRow, adoption_id
from regionkit.facts.position import reaches
from regionkit.facts.stamp import Stamp
from regionkit.routing.snapshot import EndpointState
from regionkit.routing.store import RoutedStore
from regionkit.topology import Role

__all__ = ["adopt_only", "lacking"]


def lacking(store: RoutedStore, owner: int, stamp: Stamp, deadline: Deadline) -> list[str]:
    """Copies that are not proved to have all that `stamp` covers; those are asked first."""
    found = []
    for index, e in enumerate(store.state.snapshot.endpoints):
        if index == owner or not e.allowed or _has(e, stamp):
            continue
        store.probe(index, deadline.remaining())
        if not _has(store.state.snapshot.endpoints[index], stamp):
            found.append(e.id)
    return found


def _has(e: EndpointState, stamp: Stamp) -> bool:
    """Whether a copy has said that it has come so far, in the same history."""
    lineage, observation = e.lineage, e.observation
    if lineage is None or observation is None or observation.reached is None:
        return False
    return lineage.current.history == stamp.history and reaches(observation.reached, stamp.position)


def adopt_only(store: RoutedStore, deadline: Deadline) -> None:
    """Without a kit nobody records promotions: whoever hands in an engine, and makes tables, says which server counts."""
    observation = store.probe(0, deadline.remaining())
    lineage = None if observation is None else observation.lineage
    if observation is None or lineage is None or observation.recorded or observation.role is not Role.PRIMARY:
        return
    backend, parent = store.backend(0), lineage.current
    fork = backend.survived(deadline.remaining(), parent, observation)
    id = adoption_id(uuid7().hex)
    backend.write_history(deadline, HistoryRow(id, parent.history, fork, parent.epoch + 1, observation.origin))
    store.probe(0, deadline.remaining())
