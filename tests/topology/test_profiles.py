"""Profiles: the table of architecture section 5, overrides, and refusals that name the field."""

from dataclasses import asdict, fields, replace

import pytest

from regionkit.errors import ConfigurationError
from regionkit.topology import PROFILES, Profile, profile

ORDER = [
    "probe_every",
    "probe_timeout",
    "sample_every",
    "trip_probes",
    "trip_errors",
    "trip_share",
    "trip_calls",
    "trip_window",
    "open_first",
    "open_longest",
    "half_open_probes",
    "read_deadline",
    "write_deadline",
    "longest_wait",
    "hold_down",
    "lease",
    "failover_after",
]
TABLE = {
    "gentle": (5, 2, 1, 3, 5, 0.7, 20, 10, 10, 120, 1, 5, 10, 1, 300, 30, 60),
    "balanced": (1, 0.5, 0.25, 2, 3, 0.5, 10, 5, 5, 60, 1, 3, 5, 0.3, 60, 10, 15),
    "aggressive": (0.25, 0.25, 0.1, 2, 2, 0.5, 5, 2, 1, 15, 1, 1.5, 3, 0.1, 15, 1, 1),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_rows_are_those_of_the_design(name):
    assert [field.name for field in fields(Profile)] == ORDER
    assert tuple(asdict(profile(name)).values()) == TABLE[name]
    assert set(PROFILES) == set(TABLE)


def test_fields_are_overridden_from_a_mapping():
    assert profile({"base": "gentle", "probe_every": 2}) == replace(PROFILES["gentle"], probe_every=2.0)
    assert profile({"trip_probes": 9}) == replace(PROFILES["balanced"], trip_probes=9)
    assert isinstance(profile({"probe_every": 2}).probe_every, float)
    assert profile() is PROFILES["balanced"] and profile(PROFILES["gentle"]) is PROFILES["gentle"]
    assert profile({"hold_down": 0, "longest_wait": 0}).hold_down == 0.0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("balancd", "no profile 'balancd'.*did you mean 'balanced'"),
        (None, "no profile None"),
        ({"base": "gentel"}, "did you mean 'gentle'"),
        ({"base": 5}, "no profile 5"),
        ({"probe_evry": 1}, "unknown key 'probe_evry'.*did you mean 'probe_every'"),
        ({"probe_every": 0}, "probe_every = 0 .*more than 0"),
        ({"probe_every": -1}, "probe_every = -1"),
        ({"probe_every": float("nan")}, "probe_every = nan"),
        ({"probe_every": float("inf")}, "probe_every = inf"),
        ({"probe_every": True}, "probe_every = True"),
        ({"probe_every": "1"}, "probe_every = '1'"),
        ({"read_deadline": 3601}, "read_deadline = 3601 .*at most 3600"),
        ({"trip_share": 1.5}, "trip_share = 1.5 .*a share"),
        ({"trip_share": 70}, "trip_share = 70"),
        ({"trip_probes": 0}, "trip_probes = 0 .*whole number"),
        ({"trip_calls": 2.0}, "trip_calls = 2.0 .*whole number"),
        ({"half_open_probes": True}, "half_open_probes = True"),
        ({"hold_down": -0.1}, "hold_down = -0.1 .*at least 0"),
        ({"open_first": 61}, r"open_first \(61 s\) is more than open_longest"),
    ],
)
def test_bad_values_are_refused_by_field(spec, message):
    with pytest.raises(ConfigurationError, match=message):
        profile(spec)
