"""Values that TOML describes by name: `"name"`, or `{ name = "name", ... }` with the value's own keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TypeVar

from regionkit.errors import ConfigurationError
from regionkit.topology.validation import did_you_mean, from_mapping, shown

__all__ = ["named"]

T = TypeVar("T")


def named(kind: str, spec: str | Mapping[str, object], registry: Mapping[str, type[T]]) -> T:
    """What `spec` describes, made by the dataclass that `registry` has under its name.

    Raises:
        ConfigurationError: a name that is not registered (the error lists those that are), or an unknown key.
    """
    name = spec if isinstance(spec, str) else spec.get("name")
    if not isinstance(name, str) or name not in registry:
        raise ConfigurationError(f"{kind} {shown(name)} is not in this version.", fix=did_you_mean(name, registry))
    make = registry[name]
    given = {} if isinstance(spec, str) else {key: value for key, value in spec.items() if key != "name"}
    known = [field.name for field in fields(make) if field.init]  # type: ignore[arg-type]  # registered classes are dataclasses
    return from_mapping(f"{kind} {name}", make, given, known)
