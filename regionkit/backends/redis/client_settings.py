"""What all clients of one endpoint's blocks have in common: how they make bytes of values, and values of replies. A value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis import ConnectionPool, Redis

__all__ = ["ClientSettings"]

_SHAPING = ("encoding", "encoding_errors", "decode_responses")


class ClientSettings:
    """What the clients of an endpoint's blocks have in common.

    Attributes:
        name: of the endpoint, for reprs.
        arguments: of the connections, without secrets.
        callbacks: the driver's, which shape replies.
        scripted: those for replies that come out of a script.
        encoder: makes bytes of values.
        encoding: of texts, where replies are decoded.
    """

    __slots__ = ("arguments", "callbacks", "encoder", "encoding", "name", "scripted")

    def __init__(self, name: str, arguments: Mapping[str, Any]) -> None:
        self.name = name
        self.arguments = dict(arguments)
        given: Any = arguments.get
        decodes, encoding = given("decode_responses", False), given("encoding", "utf-8")
        texts = {name: arguments[name] for name in _SHAPING if name in arguments}
        legacy = {name: arguments[name] for name in ("legacy_responses",) if name in arguments}  # since redis-py 8
        asked: Any = given("protocol")
        self.callbacks = _client(**texts, **legacy, protocol=asked).response_callbacks
        self.scripted = _client(**texts, **legacy, protocol=2).response_callbacks
        self.encoder: Any = _client(**texts).connection_pool.get_encoder()
        self.encoding: str | None = encoding if decodes else None


def _client(**arguments: Any) -> Any:
    """A client of the driver's own that never connects: it says what the driver makes of values and replies."""
    return Redis(connection_pool=ConnectionPool(**arguments))
