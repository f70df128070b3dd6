"""Claims of one event loop, used from another: each step is made where they belong."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["InOwnLoop"]


class InOwnLoop:
    """The steps of claims, from any loop. It does not close them."""

    def __init__(self, claims: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._claims = claims
        self._loop = loop

    async def step(self, *arguments: Any, **named: Any) -> bool:
        """Make a step, when that loop comes to it."""
        step = asyncio.run_coroutine_threadsafe(self._claims.step(*arguments, **named), self._loop)
        made: bool = await asyncio.wait_for(asyncio.wrap_future(step), named["within"])
        return made

    async def close(self) -> None:
        """They stay open."""
