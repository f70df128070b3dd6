"""Whether a store's backend has the level or the kind of block that a call asks for."""

from __future__ import annotations

from regionkit.contract.capabilities import Capabilities
from regionkit.errors import ConfigurationError
from regionkit.facts.consistency import Level
from regionkit.facts.request import BlockMode
from regionkit.routing.supporting import servers_supporting

__all__ = ["check_level", "check_mode"]


def check_level(store: str, can: Capabilities | None, level: Level) -> None:
    """Whether a read may ask for this level.

    Raises:
        ConfigurationError: the store's backend does not have it.
    """
    if can is None:
        return
    if level is Level.BOUNDED and not can.bounded:
        raise ConfigurationError(
            f"store {store!r}: BOUNDED reads are not possible on {can.server}.",
            why="it does not report how far a copy has replicated.",
            fix=f"use SESSION or EVENTUAL; {servers_supporting('bounded')} support BOUNDED.",
        )
    if level is Level.STRONG and not can.strong:
        raise ConfigurationError(
            f"store {store!r}: STRONG reads are not possible on {can.server}.",
            why="no single endpoint there has every write.",
            fix=f"use SESSION; {servers_supporting('strong')} support STRONG.",
        )


def check_mode(store: str, can: Capabilities | None, mode: BlockMode) -> None:
    """Whether a block may be asked for like this.

    Raises:
        ConfigurationError: the store's backend has no such block.
    """
    if can is None:
        return
    for name in ("core", "snapshot", "transaction"):
        if getattr(mode, name) and name not in can.modes:
            there = f"{can.server} has {', '.join(f'{mode}=' for mode in sorted(can.modes)) or 'no such mode'}."
            always = name == "transaction" and can.transactions
            raise ConfigurationError(
                f"store {store!r}: {name}=True is not possible on {can.server}.",
                why="a write block there is one transaction as it is." if always else there,
                fix=f"leave it out; {servers_supporting(name)} have {name}=.",
            )
