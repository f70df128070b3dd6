# Generated from loss_async.py by scripts/twins.py. Do not edit.
"""Going on after a loss: what of a session's bookmark survived a change of primary stays."""

from __future__ import annotations

from regionkit.facts.bookmark import Entry
from regionkit.facts.history import Survival
from regionkit.facts.observation import Observation
from regionkit.facts.position import reaches
from regionkit.routing.events import LossAccepted
from regionkit.routing.session_state import SessionState
from regionkit.routing.store import RoutedStore

__all__ = ["accept_loss_of"]


def accept_loss_of(state: SessionState, routed: RoutedStore) -> None:
    """Drop what was lost of one store, as its owner tells it."""
    routed.refresh()
    snapshot = routed.state.snapshot
    observation = None if snapshot.owner < 0 else routed.probe(snapshot.owner)
    if observation is None:
        return
    before = state.entries(routed)
    kept = tuple(e for e in before if not e.history or _survived(observation, e))
    if kept != before:
        now = routed.entry_of(snapshot.owner, observation)
        state.rebase(routed, (*kept, now))
        e = snapshot.endpoints[snapshot.owner]
        routed.hooks.emit(LossAccepted(routed.name, e.region, e.id))


def _survived(owner: Observation, entry: Entry) -> bool:
    if owner.lineage is None:
        return False
    survival = owner.lineage.survival(entry.history, entry.position)
    if survival is Survival.CURRENT and entry.position is not None:
        return reaches(owner.reached, entry.position)
    return survival in (Survival.CURRENT, Survival.SURVIVED)
