"""A topology from TOML: strict, with the path of each mistake, and `${NAME}` put in after parsing.

Order: TOML, then the shape of each table (unknown keys are refused), then variables, then the values
themselves. So errors of shape speak of the text as written; later ones have every replaced value put back to `${NAME}`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from regionkit.errors import ConfigurationError
from regionkit.topology.caches import CacheTiers
from regionkit.topology.cassandra_store import CassandraStore
from regionkit.topology.endpoints import Endpoint
from regionkit.topology.memory_store import MemoryStore
from regionkit.topology.mongo_store import MongoStore
from regionkit.topology.preferences import preference
from regionkit.topology.profiles import Profile, profile
from regionkit.topology.redis_store import RedisStore
from regionkit.topology.regions import Region
from regionkit.topology.residency import Residency
from regionkit.topology.stores import SqlStore, Store
from regionkit.topology.strategies import strategy
from regionkit.topology.toml_tables import (
    CacheTable,
    CassandraTable,
    ControlTable,
    EndpointTable,
    File,
    MemoryTable,
    MongoTable,
    RedisTable,
    RegionTable,
    ResidencyTable,
    SqlTable,
    StoreTable,
)
from regionkit.topology.toml_text import LARGEST_FILE, parsed, too_large
from regionkit.topology.topology import Topology
from regionkit.topology.url_parts import MASK
from regionkit.topology.validation import did_you_mean, located, shown
from regionkit.topology.variables import expand, expand_url, scrubber

__all__ = ["Loaded", "load_toml", "parse_toml"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, repr=False)
class Loaded:
    """What a TOML file describes. Its repr shows no key.

    Attributes:
        topology: regions and stores.
        profile: time-outs and thresholds.
        bookmark_keys: keys that sign bookmarks, the current one first; empty: unsigned.
    """

    topology: Topology
    profile: Profile
    bookmark_keys: tuple[str, ...]

    def __repr__(self) -> str:
        keys = ", ".join(MASK for _ in self.bookmark_keys)
        return f"Loaded(topology={self.topology!r}, profile={self.profile!r}, bookmark_keys=({keys}))"


def load_toml(path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None) -> Loaded:
    """Reads the file at `path`; `environ` (default: this process's environment) gives the values of `${NAME}`.

    Raises:
        ConfigurationError: the file cannot be read, or anything that `parse_toml` refuses; it names the file.
    """
    name = str(path)
    why = ""
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        why = error.strerror or type(error).__name__
    if why:
        raise ConfigurationError(f"{name} cannot be read.", why=f"{why}.", fix="pass the path of a readable file.")
    if len(data) > LARGEST_FILE:
        raise too_large(name)
    text = None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if text is None:
        raise ConfigurationError(f"{name} is not UTF-8.", fix="save it as UTF-8, as TOML requires.")
    return parse_toml(text, name=name, environ=environ)


def parse_toml(text: str, *, name: str = "regionkit.toml", environ: Mapping[str, str] | None = None) -> Loaded:
    """As `load_toml`, from the `text` of a file that messages call `name`. Does no I/O.

    Raises:
        ConfigurationError: not TOML; a key that is unknown, missing or of another type, with its path; a variable that
            is not set; or whatever the described values refuse. No error shows a secret or the value of a variable.
    """
    values = os.environ if environ is None else environ
    return _Reader(name, values, scrubber(text, values)).read(parsed(text, name))


@dataclass(frozen=True, slots=True)
class _Reader:
    name: str
    environ: Mapping[str, str]
    scrub: Callable[[str], str]

    def read(self, document: dict[str, Any]) -> Loaded:
        file = self.shaped("", document, File)
        regions = [self.region(name, table) for name, table in file.regions.items()]
        stores = [self.store(name, table) for name, table in file.stores.items()]
        control = None if file.control is None else self.text("control.store", file.control.store)
        namespace = self.text("namespace", file.namespace)
        caches = [self.cache(name, table) for name, table in file.caches.items()]
        topology = self.at("", lambda: Topology(namespace, control, regions, stores, caches))
        spec = self.deep("profile", file.profile)
        return Loaded(topology, self.at("profile", lambda: profile(spec)), self.keys(file.bookmark_keys))

    def at(self, path: str, make: Callable[[], T]) -> T:
        """What `make` returns; its error with file and path in front, values of variables put back to their names."""
        return located(f"{self.name}: {path}" if path else self.name, make, self.scrub)

    def text(self, path: str, text: str) -> str:
        return self.deep(path, text)

    def optional(self, path: str, text: str | None) -> str | None:
        return None if text is None else self.deep(path, text)

    def deep(self, path: str, value: T) -> T:
        """`value` with the variables of every text in it replaced."""
        replaced: Any = value
        if isinstance(value, str):
            replaced = expand(value, self.environ, f"{self.name}: {path}")
        elif isinstance(value, list):
            replaced = [self.deep(f"{path}[{index}]", item) for index, item in enumerate(value)]
        elif isinstance(value, dict):
            replaced = {key: self.deep(_joined(path, key), item) for key, item in value.items()}
        made: T = replaced
        return made

    def url(self, path: str, url: str) -> str:
        problem = None
        try:
            return expand_url(url, self.environ, f"{self.name}: {path}")
        except ConfigurationError as error:
            problem = error.what, error.why, error.fix
        what, why, fix = problem
        located_what = what if what.startswith(f"{self.name}: ") else f"{self.name}: {path}: {what}"
        raise ConfigurationError(located_what, why=why, fix=fix)

    def keys(self, keys: list[str]) -> tuple[str, ...]:
        replaced = tuple(self.deep("bookmark_keys", keys))
        if "" in replaced:
            raise ConfigurationError(
                f"{self.name}: bookmark_keys[{replaced.index('')}]: the key is empty.",
                why="an empty key gives no protection.",
                fix="give a long random text, or leave bookmark_keys out for unsigned bookmarks.",
            )
        return replaced

    def shaped(self, path: str, table: Any, shape: type[T]) -> T:
        """`table` as a `shape`; its mistakes with their path."""
        try:
            return msgspec.convert(table, shape, strict=True)
        except msgspec.ValidationError as error:
            message = str(error)
        raise _shape_error(self.name, path, message, shape)

    def region(self, name: str, table: Any) -> Region:
        path = _joined("regions", name)
        jurisdiction = self.optional(_joined(path, "jurisdiction"), self.shaped(path, table, RegionTable).jurisdiction)
        return self.at(path, lambda: Region(name, jurisdiction))

    def cache(self, name: str, table: Any) -> CacheTiers:
        path = _joined("caches", name)
        given = self.shaped(path, table, CacheTable)
        shared, local = self.optional(f"{path}.shared", given.shared), self.deep(f"{path}.local", given.local)
        return self.at(path, lambda: CacheTiers(name, shared, local))

    def store(self, name: str, table: Any) -> Store:
        path = _joined("stores", name)
        backend = table.get("backend") if isinstance(table, dict) else None
        if isinstance(backend, str):
            backend = self.text(_joined(path, "backend"), backend)
            if backend not in _BACKENDS:
                raise ConfigurationError(
                    f"{self.name}: {path}.backend: {self.scrub(shown(backend))} is not in this version.",
                    fix=did_you_mean(backend, _BACKENDS, _SERVERS),
                )
        else:
            backend = "sql"  # its shape says what is wrong with the key
        shape, make = _BACKENDS[backend]
        given = self.shaped(path, table, shape)
        values: dict[str, Any] = {
            field: self.value(f"{path}.{field}", field, value)
            for field in shape.__struct_fields__
            if field not in ("backend", "residency") and (value := getattr(given, field)) not in (None, [], {})
        }
        if given.residency is not None:
            values["residency"] = self.residency(f"{path}.residency", given.residency)
        return self.at(path, lambda: make(name, **values))

    def value(self, path: str, field: str, value: Any) -> Any:
        """The value that a key of a store's table describes."""
        if field == "endpoints":
            return [self.endpoint(f"{path}[{index}]", one) for index, one in enumerate(value)]
        if field == "url":
            return self.url(path, value)
        replaced = self.deep(path, value)
        if field == "strategy":
            return self.at(path, lambda: strategy(replaced))
        if field == "prefer":
            return self.at(path, lambda: preference(replaced))
        return replaced

    def residency(self, path: str, table: ResidencyTable) -> Residency:
        allow = self.deep(f"{path}.allow", table.allow)
        deny = self.deep(f"{path}.deny", table.deny)
        return self.at(path, lambda: Residency(allow, deny))

    def endpoint(self, path: str, table: EndpointTable) -> Endpoint:
        region = self.text(f"{path}.region", table.region)
        role = self.text(f"{path}.role", table.role)
        url = self.url(f"{path}.url", table.url)
        read_url = None if table.read_url is None else self.url(f"{path}.read_url", table.read_url)
        of = self.optional(f"{path}.of", table.of)
        tls: Any = self.optional(f"{path}.tls", table.tls)  # the endpoint checks it
        held = self.deep(f"{path}.partitions", table.partitions)
        return self.at(path, lambda: Endpoint(region, role, url, of=of, tls=tls, read_url=read_url, partitions=held))


_BACKENDS: Mapping[str, tuple[type[StoreTable], Callable[..., Store]]] = MappingProxyType(
    {
        "sql": (SqlTable, SqlStore),
        "redis": (RedisTable, RedisStore),
        "mongo": (MongoTable, MongoStore),
        "cassandra": (CassandraTable, CassandraStore),
        "memory": (MemoryTable, MemoryStore),
    }
)


_SERVERS: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("postgres", "postgresql", "pg", "psql", "mysql", "mariadb", "sqlite", "sqlite3"), "sql")
    | {"valkey": "redis", "mongodb": "mongo", "scylla": "cassandra", "scylladb": "cassandra"}
)
"""What a backend is called elsewhere, and its name here."""


_TABLES: Mapping[tuple[type, str], type[msgspec.Struct]] = MappingProxyType(
    {(File, "control"): ControlTable}
    | {(shape, "residency"): ResidencyTable for shape, _ in _BACKENDS.values()}
    | {(shape, "endpoints"): EndpointTable for shape, _ in _BACKENDS.values()}
)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<key>.*)`", re.DOTALL)
_WORDS = (
    ("Expected `str | object | null`", "expected a text or a table"),
    ("Expected `str | object`", "expected a text or a table"),
    ("Expected `str`", "expected a text"),
    ("Expected `array`", "expected a list"),
    ("Expected `object`", "expected a table"),
    ("got `str`", "got a text"),
    ("got `int`", "got a whole number"),
    ("got `float`", "got a number"),
    ("got `bool`", "got true or false"),
    ("got `array`", "got a list"),
    ("got `object`", "got a table"),
)


def _joined(path: str, key: str) -> str:
    """`path` and `key` as TOML writes them; a key that is no bare key is quoted or only described."""
    text = key if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", key) else shown(key)
    return f"{path}.{text}" if path else text


def _shape_error(name: str, path: str, message: str, shape: type[Any]) -> ConfigurationError:
    """What msgspec found, in the file's own words; its path begins with "$" and lacks the unknown key."""
    what, _, inner = message.rpartition(" - at `$")
    what, inner = (what, inner.rstrip("`").lstrip(".")) if what else (message, "")
    at = ".".join(piece for piece in (path, inner) if piece)
    table = _TABLES.get((shape, re.sub(r"\[\d+\]", "", inner)), shape)
    unknown, missing = _UNKNOWN.fullmatch(what), _MISSING.fullmatch(what)
    if unknown is not None:
        key = unknown["key"]
        return ConfigurationError(
            f"{name}: {_joined(at, key)}: unknown key {shown(key)}.", fix=did_you_mean(key, table.__struct_fields__)
        )
    if missing is not None:
        key = missing["key"]
        return ConfigurationError(f"{name}: {at or 'top level'}: the key {key!r} is missing.", fix=f"add {key}.")
    for theirs, ours in _WORDS:
        what = what.replace(" | null`", "`").replace(theirs, ours)
    return ConfigurationError(f"{name}: {at or 'top level'}: {what}.", fix="write a value of that type.")
