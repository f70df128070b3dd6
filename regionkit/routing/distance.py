"""Times that follow the distance. Pure.

| what                                  | seconds                                                          |
|---------------------------------------|------------------------------------------------------------------|
| an answer, on a connection that is there | the profile's probe time-out, and the round trips of a question |
| the same, of a healthy server         | the round trips, and `AT_ONCE`                                   |
| a connection                          | the profile's time-out, and the round trips of making one        |
| a connection over an unknown distance | `UNKNOWN_DISTANCE` time-outs                                     |

An endpoint that has never answered may be anywhere: each failed question is followed by one whose connection gets
twice the time, up to `MOST_PATIENCE` times, so that it is reached wherever it is.
"""

from __future__ import annotations

__all__ = ["PROBE_ROUND_TRIPS", "answering", "connecting", "longer", "probing"]

PROBE_ROUND_TRIPS = 2.0
"""Round trips of one question to an endpoint: MongoDB takes two."""
UNKNOWN_DISTANCE = 9.0
"""Time-outs that a first connection gets, where the distance is not known yet: "balanced" has 4.5 s, 12 round trips of 375 ms."""
MOST_PATIENCE = 4.0
"""How many times the usual time a connection gets at most: with 3 s, a round trip of 1 s is reached."""
CONNECT_ROUND_TRIPS = 12
"""Round trips of a new connection at most: TCP, TLS, SCRAM, settings and the first question; eleven were counted."""
AT_ONCE = 0.02
"""Seconds in which a healthy server answers, in addition to the distance: a busy machine schedules its CPU in such slices."""


def answering(timeout: float, rtt: float | None, count: float) -> float:
    """Seconds that `count` round trips take if the server is healthy; `timeout` if the distance is not known."""
    return timeout if rtt is None else count * rtt + AT_ONCE


def probing(timeout: float, rtt: float | None) -> float:
    """Seconds that an answer may take on a connection that is there."""
    return timeout + PROBE_ROUND_TRIPS * (rtt or 0.0)


def connecting(timeout: float, rtt: float | None, patience: float) -> float:
    """Seconds that making a connection may take. `patience`: what `longer` made of 1.0."""
    usual = timeout * UNKNOWN_DISTANCE if rtt is None else timeout + CONNECT_ROUND_TRIPS * rtt
    return usual * patience


def longer(patience: float) -> float:
    """The patience after another failed question."""
    return min(2.0 * patience, MOST_PATIENCE)
