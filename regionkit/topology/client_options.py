"""What a store that is no SQL store may set on its clients: few keys, typed, each with a reason to differ."""

from __future__ import annotations

from dataclasses import dataclass

from regionkit.errors import ConfigurationError
from regionkit.topology.options import check_flag, check_number
from regionkit.topology.validation import did_you_mean, shown

__all__ = ["CassandraOptions", "MongoOptions", "RedisOptions"]

UUID_REPRESENTATIONS = ("csharpLegacy", "javaLegacy", "pythonLegacy", "standard", "unspecified")
"""PyMongo's."""


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """Options of the connections to each Redis or Valkey server.

    Attributes:
        pool_size: connections at most to an endpoint, in each process; a block that needs one waits within its deadline.
        decode_responses: replies are texts instead of bytes, as in redis-py.
        protocol: RESP version, 2 or 3.

    Raises:
        ConfigurationError: a value of another type or out of bounds, naming the option.
    """

    pool_size: int = 50
    decode_responses: bool = False
    protocol: int = 2

    def __post_init__(self) -> None:
        check_number("pool_size", self.pool_size, 1, 10_000)
        check_flag("decode_responses", self.decode_responses)
        check_number("protocol", self.protocol, 2, 3)


@dataclass(frozen=True, slots=True)
class MongoOptions:
    """Options of the client of each MongoDB member.

    Attributes:
        pool_size: connections at most to a member, in each process.
        uuid_representation: how `uuid.UUID` is kept in BSON: "standard", "pythonLegacy", "javaLegacy", "csharpLegacy", or
            "unspecified", which refuses it, as in PyMongo.
        tz_aware: dates that are read have a time zone, UTC.

    Raises:
        ConfigurationError: a value of another type or out of bounds, naming the option.
    """

    pool_size: int = 50
    uuid_representation: str = "unspecified"
    tz_aware: bool = False

    def __post_init__(self) -> None:
        check_number("pool_size", self.pool_size, 1, 10_000)
        if self.uuid_representation not in UUID_REPRESENTATIONS:
            raise ConfigurationError(
                f"uuid_representation is {shown(self.uuid_representation)}.",
                fix=did_you_mean(self.uuid_representation, UUID_REPRESENTATIONS),
            )
        check_flag("tz_aware", self.tz_aware)


@dataclass(frozen=True, slots=True)
class CassandraOptions:
    """Options of a Cassandra store.

    Attributes:
        write_level: consistency level of writes.
        read_level: consistency level of SESSION reads; EVENTUAL reads use LOCAL_ONE.
        statements: prepared statements kept; the least recently used are prepared anew.
        page_size: rows fetched at once.

    Raises:
        ConfigurationError: a value of another type or out of bounds, naming the option.
    """

    write_level: str = "LOCAL_QUORUM"
    read_level: str = "LOCAL_QUORUM"
    statements: int = 500
    page_size: int = 1000

    def __post_init__(self) -> None:
        for name in ("write_level", "read_level"):
            value = getattr(self, name)
            if value not in _LEVELS:
                raise ConfigurationError(
                    f"option {name} = {shown(value)} is not usable.", fix=did_you_mean(value, _LEVELS)
                )
        check_number("statements", self.statements, 1, 100_000)
        check_number("page_size", self.page_size, 1, 100_000)


_LEVELS = ("ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_ONE", "LOCAL_QUORUM", "EACH_QUORUM")
