"""What all clients of one endpoint's blocks have in common: how they make bytes of values, and values of replies. A value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis._parsers import Encoder
from redis._parsers.response_callbacks import get_response_callbacks
from redis.client import CaseInsensitiveDict

__all__ = ["ClientSettings"]


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
        given: Any = arguments.get  # the driver is typed in parts
        decodes, encoding = given("decode_responses", False), given("encoding", "utf-8")
        encoder: Any = Encoder
        self.callbacks = _callbacks(given("protocol"), given("legacy_responses", True))
        self.scripted = _callbacks(2, given("legacy_responses", True))
        self.encoder = encoder(encoding, given("encoding_errors", "strict"), decodes)
        self.encoding: str | None = encoding if decodes else None


def _callbacks(protocol: int | None, legacy: bool) -> Any:
    made: Any = get_response_callbacks(user_protocol=protocol, legacy_responses=legacy)
    return CaseInsensitiveDict(made)
