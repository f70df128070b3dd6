"""What goes wrong at an endpoint, as errors of regionkit's: one text for all backends."""

from __future__ import annotations

from typing import Any

from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.outcomes import Refused, Unreached
from regionkit.contract.unreached import unreached
from regionkit.errors import DeadlineExceeded, OutcomeUnknown, RegionUnavailable

__all__ = ["closed", "commit_unanswered", "first_line", "in_use", "lacks_right", "not_had", "too_late", "unavailable"]


def first_line(error: BaseException) -> str:
    """What the driver said, on one line."""
    text = str(getattr(error, "orig", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def too_late(
    context: EndpointContext[Any], what: str, *, why: str = "", fix: str = Unreached.SILENT.fix
) -> DeadlineExceeded:
    """The deadline passed before a connection was there, or before regionkit's own question was answered."""
    return DeadlineExceeded(
        what,
        why=why or "the call's deadline passed before a connection was available; nothing was sent.",
        fix=fix,
        store=context.store.name,
        region=context.endpoint.region,
    )


def in_use(context: EndpointContext[Any], what: str, fix: str) -> DeadlineExceeded:
    """Every connection was in use until the deadline: that speaks against nobody."""
    error = too_late(context, what, fix=fix)
    error.blames_endpoint = False
    return error


def unavailable(context: EndpointContext[Any], what: str, why: str, *, retryable: bool = True) -> RegionUnavailable:
    """The endpoint cannot be used. Nothing was sent."""
    return RegionUnavailable(
        what,
        why=why,
        fix="see kit.status(); reads use other endpoints if the topology allows it.",
        store=context.store.name,
        region=context.endpoint.region,
        retryable=retryable,
    )


def closed(context: EndpointContext[Any]) -> RegionUnavailable:
    """The endpoint was closed: with its kit, or as `kit.replace` took it out. Nothing was sent."""
    return RegionUnavailable(
        f"{context.endpoint.id!r} of {context.store.name!r} is closed.",
        why="its kit was closed, or its topology was replaced: it takes no new connections.",
        fix="run it again: a new block uses the current topology. If the kit is closed, make a new one.",
        store=context.store.name,
        region=context.endpoint.region,
    )


def lacks_right(context: EndpointContext[Any], right: str, grant: str, why: str) -> RegionUnavailable:
    """The account may not do what regionkit needs. Nothing was done. `right`: and on what; `grant`: how it is given."""
    cause = f"the account lacks {right}"
    return RegionUnavailable(
        f"{context.endpoint.id!r} of {context.store.name!r} cannot be used: {cause}.",
        why=why,
        fix=grant,
        retryable=False,
        store=context.store.name,
        region=context.endpoint.region,
        cause=cause,
    )


def not_had(
    context: EndpointContext[Any],
    error: BaseException,
    refused: Refused | Unreached | None,
    what: str,
    why: str,
    *,
    retryable: bool = True,
    named: str = "",
) -> RegionUnavailable:
    """The error of a connection that was not had. Nothing was sent.

    Args:
        context: of the endpoint.
        error: the driver's.
        refused: what a server said that was reached.
        what: what happened, where nothing more is known.
        why: in the server's or the driver's own words.
        retryable: whether another attempt may go well, where nothing more is known.
        named: the endpoint, where it is not called by its id.
    """
    cause = refused or unreached(error)
    if cause is None:
        return unavailable(context, what, why, retryable=retryable)
    endpoint = context.endpoint
    return cause.error(named or endpoint.id, store=context.store.name, region=endpoint.region, why=why)


def commit_unanswered(context: EndpointContext[Any], why: str, *, region: str = "") -> OutcomeUnknown:
    """A commit was sent, and no answer came. `region`: where the endpoint says itself where it stands."""
    return OutcomeUnknown(
        f"a commit was sent to {context.endpoint.id!r} of {context.store.name!r} and no answer came.",
        why=why,
        fix="with an idempotency key kit.resolve(error) finds it out; never run it again blindly.",
        store=context.store.name,
        region=region or context.endpoint.region,
        began_at=context.clock.wall(),
    )
