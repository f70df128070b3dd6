"""Every error regionkit raises, in one tree.

Each says what happened (`what`), why (`why`) and what to do (`fix`); `code` names its section in docs/reference/errors.md.
Two typed attributes answer the caller's questions: may the same call be made again (`retryable`), and did the write
take effect (`committed`: "yes", "no", "unknown"). All errors pickle.

    RegionKitError
     |-- ConfigurationError (ValueError)         |-- CacheError
     |    `-- MissingDriver (ImportError)        |    |-- Backpressure
     |-- RoutingError                            |    |-- DurabilityUnknown
     |    |-- NoEligibleEndpoint                 |    `-- VersionConflict
     |    |-- ResidencyViolation                 |-- MessagingError
     |    |-- StaleRead                          |    |-- InProgress
     |    |-- Fenced                             |    |-- PayloadMismatch
     |    |-- InvalidBookmark (ValueError)       |    |-- RetentionTooShort
     |    |-- UnknownHome (LookupError)          |    |-- ResultNotStored
     |    `-- UsageError (RuntimeError)          |    |-- LeaseLost
     `-- BackendError                            |    |-- InDoubt
          |-- DeadlineExceeded (TimeoutError)    |    |-- SourceGap
          |-- TransactionRolledBack              |    `-- SourceBroken
          |-- RegionUnavailable (ConnectionError)`-- TransactionError
          |-- AlreadyApplied                          |-- TransactionAborted
          `-- OutcomeUnknown                          |-- TransactionInDoubt
                                                      `-- HeuristicOutcome
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

__all__ = [
    "AlreadyApplied",
    "BackendError",
    "Backpressure",
    "CacheError",
    "Committed",
    "ConfigurationError",
    "DeadlineExceeded",
    "DurabilityUnknown",
    "Fenced",
    "HeuristicOutcome",
    "InDoubt",
    "InProgress",
    "InvalidBookmark",
    "LeaseLost",
    "MessagingError",
    "MissingDriver",
    "NoEligibleEndpoint",
    "OutcomeUnknown",
    "PayloadMismatch",
    "RegionKitError",
    "RegionUnavailable",
    "ResidencyViolation",
    "ResultNotStored",
    "RetentionTooShort",
    "RoutingError",
    "SourceBroken",
    "SourceGap",
    "StaleRead",
    "TransactionAborted",
    "TransactionError",
    "TransactionInDoubt",
    "TransactionRolledBack",
    "UnknownHome",
    "UsageError",
    "VersionConflict",
]

Committed = Literal["yes", "no", "unknown"]
"""Whether the write that an error speaks of took effect."""


class RegionKitError(Exception):
    """Root of the tree.

    Attributes:
        code: names the section of the error reference, for example "RK-2103".
        what: what happened.
        why: the cause, as far as it is known here.
        fix: what the caller or the operator can do.
        retryable: the same call may succeed when made again, and making it again does no harm.
        committed: whether the write took effect: "yes", "no" or "unknown".
    """

    code: ClassVar[str] = "RK-1000"
    retryable: bool = False
    committed: Committed = "no"

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        fix: str = "",
        retryable: bool | None = None,
        committed: Committed | None = None,
        **details: Any,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        if retryable is not None:
            self.retryable = retryable
        if committed is not None:
            self.committed = committed
        for name, value in details.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        text = f"{self.code} {type(self).__name__}: {self.what}"
        if self.why:
            text += f" Why: {self.why}" if self.why.endswith((".", "!", "?")) else f" Why: {self.why}."
        if self.fix:
            text += f" Fix: {self.fix}"
        return text


class ConfigurationError(RegionKitError, ValueError):
    """The topology, the options or the arguments cannot work; refused before anything was sent."""

    code = "RK-1001"


class MissingDriver(ConfigurationError, ImportError):
    """A store needs a driver that is not installed; `fix` is the exact command."""

    code = "RK-1002"


class RoutingError(RegionKitError):
    """No endpoint may serve this call, or the call itself is wrong."""

    code = "RK-2000"


class NoEligibleEndpoint(RoutingError):
    """Every endpoint was refused for reasons of different kinds; `decision` shows each."""

    code = "RK-2101"
    retryable = True
    decision: Any = None


class ResidencyViolation(RoutingError):
    """Residency refused every endpoint."""

    code = "RK-2102"
    decision: Any = None


class StaleRead(RoutingError):
    """A healthy, allowed copy is too far behind for the consistency asked for.

    Attributes:
        lost: True when the position asked for did not survive a change of primary: no copy will ever reach it.
        store: the store that was read.
    """

    code = "RK-2103"
    retryable = True
    lost: bool = False
    store: str = ""
    decision: Any = None


class Fenced(RoutingError):
    """Every remaining endpoint failed on its epoch: it is not, or not provably, the current primary."""

    code = "RK-2104"
    retryable = True
    decision: Any = None


class InvalidBookmark(RoutingError, ValueError):
    """A bookmark is malformed, tampered with, signed by an unknown key, or speaks of a history that nobody knows."""

    code = "RK-2105"


class UnknownHome(RoutingError, LookupError):
    """The home region of a key is not known.

    Attributes:
        key: the key that was asked for.
    """

    code = "RK-2106"
    key: str = ""


class UsageError(RoutingError, RuntimeError):
    """A block was used wrongly: a write in a read block, a read inside one's own write, another key in a locked session."""

    code = "RK-2107"


class BackendError(RegionKitError):
    """A server did not do what was asked.

    Attributes:
        store: the store concerned.
        region: the region of the endpoint concerned.
    """

    code = "RK-3000"
    store: str = ""
    region: str = ""


class RegionUnavailable(BackendError, ConnectionError):
    """The connection to an endpoint failed or was lost; nothing was committed.

    Attributes:
        cause: in a few words why a server cannot be reached or used, as `kit.status()` shows it; "" where it was lost.
    """

    code = "RK-3101"
    retryable = True
    cause: str = ""


class DeadlineExceeded(BackendError, TimeoutError):
    """The call's deadline passed; nothing was committed."""

    code = "RK-3102"
    retryable = True
    blames_endpoint: bool = True  # False: our own pool was full, which says nothing about the server


class TransactionRolledBack(BackendError):
    """The server proved that it rolled the transaction back."""

    code = "RK-3103"
    retryable = True


class AlreadyApplied(BackendError):
    """A write with this key, `idempotency_key`, is committed; its result was not stored."""

    code = "RK-3104"
    committed = "yes"
    idempotency_key: str = ""


class OutcomeUnknown(BackendError):
    """A write was sent and its outcome is not known. Never retried blindly; ask `kit.resolve(error)`.

    Attributes:
        key: the partition key of the write, where there is one.
        partition: the shard that was written, where the store has several.
        idempotency_key: with it, `kit.resolve` can find the outcome out.
        began_at: wall-clock seconds at which the attempt began.
    """

    code = "RK-3105"
    committed = "unknown"
    key: str | None = None
    partition: str = ""
    idempotency_key: str | None = None
    began_at: float = 0.0


class CacheError(RegionKitError):
    """A cache could not keep its promise."""

    code = "RK-4000"


class Backpressure(CacheError):
    """A bounded write-back buffer is full."""

    code = "RK-4101"
    retryable = True


class DurabilityUnknown(CacheError):
    """A write-back entry was sent, and whether it is durable is not known.

    Attributes:
        version: that the entry has; 0 where no answer came, and nobody knows whether there is one.
        put: what it takes to ask what became of it, or to wait for its proof once more (`put(..., again=error)`); None where
            that is no use.
    """

    code = "RK-4102"
    committed = "unknown"
    version: int = 0
    put: Any = None


class VersionConflict(CacheError):
    """A put that was to replace one version found another.

    Attributes:
        version: that the key has now; 0: it has none.
    """

    code = "RK-4103"
    version: int = 0


class MessagingError(RegionKitError):
    """A message could not be handled as promised."""

    code = "RK-5000"


class InProgress(MessagingError):
    """The same idempotency key is being worked on elsewhere.

    Attributes:
        retry_after: seconds that are left to who works on it, by the clock of the store that keeps the record.
    """

    code = "RK-5101"
    retryable = True
    retry_after: float = 0.0


class PayloadMismatch(MessagingError):
    """An idempotency key (`idempotency_key`) came back with another fingerprint: two different requests share it."""

    code = "RK-5102"
    idempotency_key: str = ""


class RetentionTooShort(MessagingError):
    """Records of handled messages would be forgotten before the broker stops redelivering."""

    code = "RK-5103"


class ResultNotStored(MessagingError):
    """A call with this idempotency key is done, and its result cannot be given back: it was not kept, or cannot be read."""

    code = "RK-5104"
    committed = "yes"


class LeaseLost(MessagingError):
    """A call ran beyond its lease, and another took its record over: what it gives is not what counts."""

    code = "RK-5105"
    committed = "unknown"


class InDoubt(MessagingError):
    """Whether a call with this idempotency key took effect is not known, and it was asked not to be run again."""

    code = "RK-5106"
    committed = "unknown"


class SourceGap(MessagingError):
    """Messages are gone from a source that a group had not acknowledged: trimmed, expired, or lost with a server's data.

    Attributes:
        source: name of the stream, queue or topic.
        lost: how many, as far as is known; 0 where it is not.
    """

    code = "RK-5107"
    source: str = ""
    lost: int = 0


class SourceBroken(MessagingError):
    """A source or a target, `source`, raised what it may not. What it has not confirmed comes again."""

    code = "RK-5108"
    source: str = ""


class TransactionError(RegionKitError):
    """A two-phase transaction did not commit cleanly."""

    code = "RK-6000"


class TransactionAborted(TransactionError):
    """All branches rolled back."""

    code = "RK-6101"
    retryable = True


class TransactionInDoubt(TransactionError):
    """The decision, or its effect on some branch, is not known yet."""

    code = "RK-6102"
    committed = "unknown"


class HeuristicOutcome(TransactionError):
    """A branch was ended by somebody else against the decision."""

    code = "RK-6103"
    committed = "unknown"
