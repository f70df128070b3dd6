"""What a decision log raises, in words. Pure."""

from __future__ import annotations

from regionkit.errors import ConfigurationError, OutcomeUnknown, RegionKitError, RegionUnavailable, UsageError

__all__ = ["early_floor", "never_made", "no_log", "overtaken", "unread_winner", "warned_commit"]


def never_made(name: str) -> ConfigurationError:
    """It has no id."""
    return ConfigurationError(f"log {name!r} has no id.", why="it was never made.", fix="call tm.create_tables() once.")


def no_log(name: str) -> ConfigurationError:
    """Its server keeps none."""
    return ConfigurationError(
        f"{name!r} cannot keep a decision log.",
        why="a decision is a row that is flushed, and that no failover loses.",
        fix="give an engine of PostgreSQL, MariaDB, MySQL or SQLite, or take a FileDecisionLog.",
    )


def overtaken(name: str, rounds: int) -> RegionUnavailable:
    """Nothing of the change stands."""
    what = f"log {name!r} rolled a change back {rounds} times."
    return RegionUnavailable(what, why="others were quicker, or it is another log by now.", fix="try again.")


def unread_winner(name: str, gtrid: str, error: RegionKitError) -> OutcomeUnknown:
    """A decision met another one, which could not be read."""
    return OutcomeUnknown(
        f"log {name!r} has a decision on {gtrid}, and did not say which.",
        why=error.why or error.what,
        fix="ask again: what stands there does not change.",
        store=name,
    )


def warned_commit(name: str, notice: str) -> OutcomeUnknown:
    """A COMMIT was answered with a warning."""
    return OutcomeUnknown(
        f"log {name!r} committed with a warning.",
        why=f"{notice}: it may not have reached the replicas.",
        fix="ask again; what stands is read with a COMMIT of its own.",
        store=name,
    )


def early_floor(name: str) -> UsageError:
    """A sweep asked for what is not old enough."""
    return UsageError(
        f"log {name!r} keeps what its sweep was to delete.",
        why="by the log's own clock it is younger than the retention, and a floor is never lowered.",
        fix="set the clock of the machine that sweeps.",
    )
