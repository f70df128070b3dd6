"""What every source checks of its options. Pure."""

from __future__ import annotations

from regionkit.errors import ConfigurationError

__all__ = ["LONGEST_LEASE", "LONGEST_WAIT", "SHORTEST_LEASE", "check_lease"]

LONGEST_WAIT = 60.0
"""Seconds that one `fetch` waits at most: a consumer that is to stop is not kept from it longer."""
SHORTEST_LEASE = 0.05
"""Seconds: below, a delivery is lost before anybody has looked at it."""
LONGEST_LEASE = 86_400.0
"""Seconds: what a dead consumer had waits that long for another one; a day is no lease any more."""


def check_lease(lease: float) -> None:
    """Whether a lease can be used.

    Raises:
        ConfigurationError: it cannot.
    """
    if not SHORTEST_LEASE <= lease <= LONGEST_LEASE:
        raise ConfigurationError(
            f"a lease of {lease!r} s cannot be used.",
            why="what a consumer that died had comes to another one after it, and what lives extends it in time.",
            fix=f"take {SHORTEST_LEASE:g} to {LONGEST_LEASE:g} s; 30 are usual.",
        )
