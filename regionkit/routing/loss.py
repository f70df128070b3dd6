# Generated from loss_async.py by scripts/twins.py. Do not edit.
"""Going on after a loss: what of a session's bookmark survived a change of primary stays."""

from __future__ import annotations

from regionkit.facts.bookmark import Entry
from regionkit.facts.history import Survival
from regionkit.facts.observation import Observation
from regionkit.facts.position import Levels, reaches
from regionkit.facts.request import Kind, Request
from regionkit.routing.events import LossAccepted
from regionkit.routing.session_state import SessionState
from regionkit.routing.store import RoutedStore
from regionkit.routing.verdict import Outcome

__all__ = ["accept_loss_of"]


def accept_loss_of(state: SessionState, routed: RoutedStore) -> None:
    """Drop what was lost of one store, as its owner tells it."""
    routed.refresh()
    snapshot = routed.state.snapshot
    if snapshot.leaderless:
        _accept_unseen(state, routed)
        return
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


def _accept_unseen(state: SessionState, routed: RoutedStore) -> None:
    """Where there is no owner nothing is lost, but what no data centre that is up can show now is given up. Later writes of
    the session stay later.
    """
    entries, nearest = state.entries(routed), routed.nearest()
    if not nearest or _readable(routed, entries):
        return
    index = nearest[0]
    e = routed.state.snapshot.endpoints[index]
    if e.observation is None:
        return
    stamp = max((entry.position.stamp for entry in entries if isinstance(entry.position, Levels)), default=0)
    ordered = (routed.entry(index, Levels(stamp=stamp), e.observation.incarnation, from_read=False),)
    state.rebase(routed, ordered if _readable(routed, ordered) else ())
    routed.hooks.emit(LossAccepted(routed.name, e.region, e.id))


def _readable(routed: RoutedStore, entries: tuple[Entry, ...]) -> bool:
    """Whether a SESSION read that asks for `entries` would be served now."""
    return routed.state.decide(Request(kind=Kind.READ, entries=entries, on_stale=("next",))).outcome is Outcome.USE


def _survived(owner: Observation, entry: Entry) -> bool:
    if owner.lineage is None:
        return False
    survival = owner.lineage.survival(entry.history, entry.position)
    if survival is Survival.CURRENT and entry.position is not None:
        return reaches(owner.reached, entry.position)
    return survival in (Survival.CURRENT, Survival.SURVIVED)
