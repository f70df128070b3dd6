"""Going on after a loss: what of a session's bookmark survived a change of primary stays."""

from __future__ import annotations

from regionkit.facts.bookmark import Entry
from regionkit.facts.history import Survival
from regionkit.facts.observation import Observation
from regionkit.facts.position import reaches
from regionkit.routing.events import LossAccepted
from regionkit.routing.session_state_async import AsyncSessionState
from regionkit.routing.store_async import AsyncRoutedStore

__all__ = ["accept_loss_of"]


async def accept_loss_of(state: AsyncSessionState, routed: AsyncRoutedStore) -> None:
    """Drop what was lost of one store, as its owner tells it."""
    await routed.refresh()
    snapshot = routed.state.snapshot
    observation = None if snapshot.owner < 0 else await routed.probe(snapshot.owner)
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
