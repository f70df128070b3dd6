"""What a region in memory says of itself. Pure, but for the world's lock."""

from __future__ import annotations

from regionkit.backends.memory.world import World, WorldNode
from regionkit.facts.observation import Observation
from regionkit.topology import Role

__all__ = ["observation"]


def observation(world: World, node: WorldNode, namespace: str, now: float) -> Observation:
    """Where a region stands at `now`. It counts in the same step as it shows, so both positions are one."""
    with world.lock:
        world.deliver_due()
        return Observation(
            role=Role.PRIMARY if node.leads else Role.REPLICA,
            incarnation=node.incarnation,
            lineage=node.lineage(namespace),
            origin=node.name if node.leads else "",
            reached=node.position,
            sent_at=now,
            rtt=node.rtt,
            shown=node.position,
        )
