"""What stands between a block and the database that the user types with.

1. A read shows what a majority has, so that no election takes it back and its position can be told; STRONG asks for
   linearizable. Where the bookmark says only "read from the owner", the owner shows all that it has: that entry stands for a
   write below a majority too.
2. A write is acknowledged by a majority. One that the user takes below it, or whose majority did not answer in time, makes the
   bookmark "read from the owner".
3. With `transaction` the block is one transaction; a commit that was sent and not confirmed is an unknown outcome.
4. What the decision was asked goes along as `afterClusterTime`, when the bookmark is our own and was proved. A cluster time
   of others is never sent on: an invented one would move the server's clock.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bson import Timestamp
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import AutoReconnect, NetworkTimeout, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from regionkit.backends.mongo.classify import (
    classify,
    ended_by_own_limit,
    is_unknown_commit,
    reading,
    text_of,
    was_refused,
)
from regionkit.backends.mongo.client_async import AsyncBlockSession, view_of
from regionkit.backends.mongo.commands import (
    ENDING,
    acknowledged_below_majority,
    changes_one,
    is_below,
    refusal,
    took_effect,
)
from regionkit.backends.mongo.member_async import AsyncMember
from regionkit.backends.mongo.observation import as_timestamp, position_of
from regionkit.contract.checkout_async import AsyncTakeCheckout
from regionkit.contract.endpoint_errors import commit_unanswered, in_use
from regionkit.contract.message import Answer, Statement, no_messages
from regionkit.contract.outcomes import Failure
from regionkit.contract.processes import require_process
from regionkit.contract.progress import Progress
from regionkit.core.concurrency_async import AsyncLock
from regionkit.core.deadline import FOREVER
from regionkit.errors import DeadlineExceeded, UsageError
from regionkit.facts.consistency import Level
from regionkit.facts.position import Position
from regionkit.facts.request import BlockMode, Kind, Request

__all__ = ["AsyncMongoHandle"]

MAJORITY = WriteConcern("majority")
DEFAULT = WriteConcern()
SNAPSHOT = ReadConcern("snapshot")
MOST_MARGIN = 0.1
"""Part of the time left, at most, by which the server gives up before the client does, so that the connection stays usable."""


class AsyncMongoHandle:
    """What one block does on one member."""

    def __init__(
        self, member: AsyncMember, kind: Kind, source: AsyncTakeCheckout, mode: BlockMode, asked: Callable[[], Request]
    ) -> None:
        self._member = member
        self._source: AsyncTakeCheckout | None = source
        self._asked = asked
        self._mode = mode
        self._checkout: Any = None
        self._taking = AsyncLock()
        self._counting = threading.Lock()
        self._over = False
        self._process = os.getpid()
        self._ended = False
        self._below = False
        self._unanswered = False
        self._unheard = False
        self._position: int | None = None
        self.is_read = kind is Kind.READ
        self.level = "majority"
        self.after: Timestamp | None = None
        self.margin = 0.0
        self.used = False
        self.expired = False
        self.commits = 0
        self.implicit = self.undone = False
        self.had = FOREVER
        self.warning = ""
        self.enlisted: Any = None
        client: Any = view_of(member, self)
        self.session: AsyncBlockSession = client._session
        client._write_concern = DEFAULT if mode.transaction else MAJORITY
        self.database: Any = AsyncDatabase(client, member.database, codec_options=member.codec_options)
        self.native: Any = self.database

    async def start_transaction(self) -> None:
        """From here on the block is one transaction; nothing is sent yet."""
        # inside of a transaction only its commit has a write concern
        self.database._write_concern = self.database.client._write_concern = DEFAULT
        await self.session.start_transaction(read_concern=SNAPSHOT, write_concern=MAJORITY)

    async def begin(self, checkout: Any) -> None:
        """Take the connection now."""
        if self._mode.transaction:
            await self.start_transaction()
        if checkout.member is not self._member:  # the decision was taken anew: the block goes where its checkout is
            self._member = checkout.member
            self.database.client.stand_at(checkout.member)
        self._checkout = checkout
        request = self._asked()
        level = request.consistency.level if self.is_read else Level.SESSION
        if level is Level.STRONG:
            self.level = "linearizable"
        elif any(entry.position is None for entry in request.entries):
            self.level = "local"
        elif level is Level.SESSION and request.signed and "serve" not in request.on_stale:
            positions = [entry.position for entry in request.entries if isinstance(entry.position, int)]
            self.after = as_timestamp(max(positions)) if positions else None

    async def ready(self) -> float:
        """Before each command: the checkout is there, its proof holds; seconds left."""
        if self._over:
            raise UsageError(
                "a database was used after its block.",
                why="its member was chosen for that block, and proved for it.",
                fix="do the work inside the block; list(cursor) takes results out of it.",
            )
        require_process(self._process)
        if self._checkout is None:
            async with self._taking:
                if self._checkout is None:
                    assert self._source is not None
                    await self.begin(await self._source())
        checkout = self._checkout
        left: float = checkout.deadline.remaining()
        if left <= 0.0:
            checkout.deadline.require("a command", store=self._member.context.store.name)
        await checkout.recheck()
        self.margin = min(checkout.observation.rtt, MOST_MARGIN * left)
        return left

    def left(self) -> float:
        """Seconds left; none after the block."""
        return 0.0 if self._over or self._checkout is None else self._checkout.deadline.remaining()

    def before(self, name: str, command: Mapping[str, Any], run: str) -> None:
        """The last look at a command before it is sent.

        Raises:
            UsageError: a write in a read block.
            pymongo.errors.AutoReconnect: the connection is to another run of the server. Nothing was sent.
        """
        if self.is_read:
            why = refusal(name, command)
            if why:
                raise UsageError(
                    f"{name} in a read block of {self._member.context.store.name!r}.",
                    why=why,
                    fix="write in s.write(...).",
                )
        if run != self._checkout.observation.incarnation and name not in ENDING:
            raise AutoReconnect("the server was restarted since the block began")

    def check_level(self, level: str) -> None:
        """Refuse a read concern of the user's below the block's, which would show what its position does not cover."""
        if not level or not is_below(level, self.level):
            return
        if self.is_read:
            raise UsageError(
                f"read concern {level!r} in a read block that promises {self.level!r}.",
                why="it could show data that the session's next read may not show.",
                fix="leave out the read concern; use consistency=.",
            )
        self._below = True

    def answered(self, command: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
        """A write was answered: count it, and take its position."""
        if not took_effect(reply):
            return
        at = reply.get("operationTime")
        with self._counting:  # threads may share a block
            self.commits += 1
            self._below = self._below or acknowledged_below_majority(command, reply)
            if at is not None:
                self._position = max(position_of(at), self._position or 0)

    def failed(self, error: PyMongoError, *, own_limit: bool, command: Mapping[str, Any] | None) -> None:
        """A command failed. `own_limit`: a time limit of the application's was over. `command`: the write that was sent."""
        # one that the server has rolled back is over: nothing of it is to be aborted
        self._unheard = not (was_refused(error) and classify(error) is Failure.ROLLED_BACK)
        heard = not isinstance(error, NetworkTimeout)
        if not own_limit:
            self.expired = self.expired or not heard
        elif self.is_read or self.session.in_transaction or (heard and command is not None and changes_one(command)):
            ended_by_own_limit(error)  # any other write may have changed something: its outcome is unknown
        if was_refused(error) and classify(error) is Failure.ROLE:
            self._member.suspect = True
        if self.is_read:
            reading(error)

    def stopped(self, *, written: bool) -> None:
        """A cancellation, or an exception of the application's, ended the wait for an answer. `written`: to a write."""
        self._unheard = True
        self._unanswered |= written and not self.session.in_transaction

    def no_connection(self) -> DeadlineExceeded:
        """Every connection was in use until the deadline."""
        context = self._member.context
        what = f"all {context.store.options.pool_size} connections to {context.endpoint.id!r} are in use."
        return in_use(context, what, "raise options.pool_size, or run fewer commands at once.")

    async def finish(self) -> None:
        """The block ended well: commit a transaction."""
        if self.enlisted is not None:
            await self.enlisted.last()
        self._ended = True
        if not self.session.in_transaction:
            return
        starting = self.session._starting_transaction
        try:
            await self.session.commit_transaction()
        except DeadlineExceeded:  # before it was sent
            self._leave_behind()
            raise
        except PyMongoError as error:
            if not is_unknown_commit(error):
                raise
            self._unanswered = True
            self._leave_behind()  # if the commit never came, its locks go; if it did, this changes nothing
            region = self._checkout.observation.region
            raise commit_unanswered(self._member.context, text_of(error), region=region) from error
        except BaseException:  # cancelled, or stopped by a signal handler
            if not starting:
                self._unanswered = True
                self._leave_behind()
            raise
        if not starting and self.session.operation_time is not None:
            self.commits += 1
            self._position = position_of(self.session.operation_time)

    async def abort(self) -> None:
        """The block raised: roll a transaction back, or have it rolled back where the deadline leaves no time."""
        self._ended = True
        session = self.session
        if not session.in_transaction:
            return
        if not session._starting_transaction:
            self._unheard = True
            if self.left() > 0.0 and not self.expired:
                self._unheard = False  # until a command fails
                with contextlib.suppress(DeadlineExceeded):
                    await session.abort_transaction()  # says nothing where it was not heard
            if self._unheard:
                self._leave_behind()
        await session._transaction.reset()

    def _leave_behind(self) -> None:
        """The server would hold an open transaction for a minute: the next probe aborts it."""
        server_session = self.session._server_session
        self._member.abandon(
            {
                "abortTransaction": 1,
                "lsid": server_session.session_id,
                "txnNumber": server_session.transaction_id,
                "autocommit": False,
            }
        )
        server_session.mark_dirty()

    async def close(self) -> None:
        """Let go of everything but the checkout; the database refuses further use."""
        self._over = True
        if self.enlisted is not None:
            self.enlisted.ended("unknown" if self._unanswered else "yes" if self.commits else "no")
        session = self.session
        if session.in_transaction and not session._starting_transaction:
            self._leave_behind()  # cancelled
        if session._server_session is not None:
            self._member.client._return_server_session(session._server_session)
            session._server_session = None

    @property
    def origin(self) -> Any:
        """Which endpoint, of which store."""
        return self._member.context

    @property
    def transactional(self) -> bool:
        """Whether the block is one transaction, begun or not."""
        return self._mode.transaction or self.session.in_transaction

    @property
    def term(self) -> int:
        """Of the election, as the member said when the block took its connection."""
        return 0 if self._checkout is None else int(self._checkout.observation.term)

    @property
    def progress(self) -> Progress:
        """What the block has done so far: the handle itself counts."""
        return self

    @property
    def position(self) -> Position | None:
        """Where the newest majority write of this block lies."""
        return None if self._below or not self.commits else self._position

    @property
    def unknown(self) -> bool:
        """Whether a commit or a write was sent and not answered; once the block has ended, also: a write is below a majority."""
        return self._unanswered or (self._ended and self._below)

    async def message(self, statements: Sequence[Statement]) -> list[Answer]:
        """Refused: MongoDB is no SQL server."""
        raise no_messages("mongodb")

    def hold(self, why: str) -> None:
        """Nothing to do: the block refuses sessions of others, so only its end commits."""

    def outcome(self, result: Any) -> Any:
        """What a function of execute_write returned is what the caller gets."""
        return result
