"""Profiles: every time-out and threshold at once, chosen by one word. The only place of these numbers.

Any field can be overridden. A value is checked when the profile is made, so that nothing later meets a zero or a NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any

from regionkit.core.deadline import LONGEST_TIMEOUT
from regionkit.errors import ConfigurationError
from regionkit.topology.validation import did_you_mean, from_mapping, shown

__all__ = ["PROFILES", "Profile", "profile"]

_COUNTS = frozenset({"trip_probes", "trip_errors", "trip_calls", "half_open_probes"})
_MAY_BE_ZERO = frozenset({"longest_wait", "hold_down"})
_LARGEST_COUNT = 1_000_000
_LONGEST = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Time-outs and thresholds, in seconds unless stated otherwise. Immutable, hashable.

    Attributes:
        probe_every: between two probes of an endpoint.
        probe_timeout: of one probe.
        sample_every: between two samples of the primary's position; at once when a copy is unproved.
        trip_probes: failed probes in a row that open the breaker.
        trip_errors: connection errors in a row that open it.
        trip_share: share of calls failed or slow that opens it, above 0 and at most 1 ...
        trip_calls: ... of at least so many calls ...
        trip_window: ... within so long.
        open_first: how long the breaker stays open at first.
        open_longest: how long at most, after growing.
        half_open_probes: probes let through while it is half open.
        read_deadline: of a read without timeout=.
        write_deadline: of a write without timeout=.
        longest_wait: for a copy to catch up.
        hold_down: before readers fail back.
        lease: how long an ownership lease lasts.
        failover_after: of an unreachable primary, before an automatic failover.

    Raises:
        ConfigurationError: naming the field and what it takes.
    """

    probe_every: float
    probe_timeout: float
    sample_every: float
    trip_probes: int
    trip_errors: int
    trip_share: float
    trip_calls: int
    trip_window: float
    open_first: float
    open_longest: float
    half_open_probes: int
    read_deadline: float
    write_deadline: float
    longest_wait: float
    hold_down: float
    lease: float
    failover_after: float

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _checked(field.name, getattr(self, field.name)))
        if self.open_first > self.open_longest:
            raise ConfigurationError(
                f"profile: open_first ({self.open_first:g} s) is more than open_longest ({self.open_longest:g} s).",
                why="the time that a breaker stays open only grows.",
                fix="raise open_longest, or lower open_first.",
            )


def _checked(name: str, value: Any) -> int | float:
    if name in _COUNTS:
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _LARGEST_COUNT:
            return value
        takes = f"a whole number from 1 to {_LARGEST_COUNT}"
    else:
        high = 1.0 if name == "trip_share" else LONGEST_TIMEOUT if name.endswith("_deadline") else _LONGEST
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and (0 < value <= high or (value == 0 and name in _MAY_BE_ZERO)):  # NaN fails both
            return float(value)
        unit = "a share" if name == "trip_share" else "seconds"
        takes = f"{unit}, {'at least' if name in _MAY_BE_ZERO else 'more than'} 0 and at most {high:g}"
    raise ConfigurationError(f"profile: {name} = {shown(value)} is not usable.", fix=f"give {takes}.")


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "gentle": Profile(
            probe_every=5.0,
            probe_timeout=2.0,
            sample_every=1.0,
            trip_probes=3,
            trip_errors=5,
            trip_share=0.7,
            trip_calls=20,
            trip_window=10.0,
            open_first=10.0,
            open_longest=120.0,
            half_open_probes=1,
            read_deadline=5.0,
            write_deadline=10.0,
            longest_wait=1.0,
            hold_down=300.0,
            lease=30.0,
            failover_after=60.0,
        ),
        "balanced": Profile(
            probe_every=1.0,
            probe_timeout=0.5,
            sample_every=0.25,
            trip_probes=2,
            trip_errors=3,
            trip_share=0.5,
            trip_calls=10,
            trip_window=5.0,
            open_first=5.0,
            open_longest=60.0,
            half_open_probes=1,
            read_deadline=3.0,
            write_deadline=5.0,
            longest_wait=0.3,
            hold_down=60.0,
            lease=10.0,
            failover_after=15.0,
        ),
        "aggressive": Profile(
            probe_every=0.25,
            probe_timeout=0.25,
            sample_every=0.1,
            trip_probes=2,
            trip_errors=2,
            trip_share=0.5,
            trip_calls=5,
            trip_window=2.0,
            open_first=1.0,
            open_longest=15.0,
            half_open_probes=1,
            read_deadline=1.5,
            write_deadline=3.0,
            longest_wait=0.1,
            hold_down=15.0,
            lease=1.0,
            failover_after=1.0,
        ),
    }
)
"""The three rows, by name."""


def profile(spec: str | Mapping[str, Any] | Profile = "balanced") -> Profile:
    """A profile: by name; from a mapping of `base` (default "balanced") and the fields to override; or as it is.

    Raises:
        ConfigurationError: an unknown name or field, with a near match, or a bad value, naming the field.
    """
    if isinstance(spec, Profile):
        return spec
    name = spec.get("base", "balanced") if isinstance(spec, Mapping) else spec
    if not isinstance(name, str) or name not in PROFILES:
        raise ConfigurationError(f"there is no profile {shown(name)}.", fix=did_you_mean(name, PROFILES))
    base = PROFILES[name]
    if not isinstance(spec, Mapping):
        return base
    known = ["base", *(field.name for field in fields(Profile))]
    changed: dict[str, Any] = from_mapping("profile", dict, spec, known)
    changed.pop("base", None)
    return Profile(**asdict(base) | changed)
