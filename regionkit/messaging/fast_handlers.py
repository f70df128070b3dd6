# Generated from fast_handlers_async.py by scripts/twins.py. Do not edit.
"""Handlers that cost less than a transaction a message: of many messages at once, or one statement of SQL."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

from regionkit.messaging.envelope import Message
from regionkit.messaging.handlers import ATTEMPTS, TIMEOUT, Handler, checked_call
from regionkit.messaging.runs import called

__all__ = ["FastHandlers"]

IS_ASYNC = False
F = TypeVar("F", bound=Callable[..., Any])

BATCH = 100
"""Messages of one transaction: its costs are shared by then, and its locks are held for milliseconds."""


class FastHandlers:
    """What a consumer registers beside plain handlers."""

    @abstractmethod
    def register(self, handler: Handler) -> None:
        """Register a `Handler` object."""

    def batch_handler(
        self, type: str, *, rerunnable: bool, batch: int = BATCH, attempts: int = ATTEMPTS, timeout: float = TIMEOUT
    ) -> Callable[[F], F]:
        """Register `call(messages, db)`: all messages of a batch at once, in one transaction with their claims.

        The messages of one key are in order among themselves. When it raises, the batch is rolled back and halved, until the
        message that is to blame is alone; that run alone counts as its attempt.

        Args:
            type: of the messages.
            rerunnable: has to be True: it calls nothing outside and changes nothing but its database.
            batch: messages at most.
            attempts: started runs of one message, alone.
            timeout: seconds of one batch, its COMMIT counted.

        Raises:
            ConfigurationError: options that cannot work; the consumer is already running.
        """

        def register(call: F) -> F:
            many = checked_call(call, is_async=IS_ASYNC)

            def alone(message: Message, db: Any) -> None:
                called(many, [message], db)

            alone.__qualname__ = getattr(call, "__qualname__", alone.__qualname__)
            self.register(Handler(type, alone, attempts, timeout, rerunnable=rerunnable, batch=batch, many=many))
            return call

        return register

    def statement(
        self, type: str, sql: str, *, batch: int = BATCH, attempts: int = ATTEMPTS, timeout: float = TIMEOUT
    ) -> None:
        """Let one INSERT, UPDATE or DELETE be the effect of a type; `:name` in it is the payload's field of that name.

        `:message_id` and `:message_key` are the message's own. Many that wait share a transaction. One alone, of no key that is
        kept in order, goes to PostgreSQL together with its claim, as one statement; elsewhere as two of one transaction.

        Args:
            type: of the messages; their payloads are maps.
            sql: without RETURNING, so that its rows can be counted: `summary().unchanged` are those that changed none.
            batch: messages at most.
            attempts: started runs of one message, alone.
            timeout: seconds of one run, its COMMIT counted.

        Raises:
            ConfigurationError: another kind of statement, or several.
        """
        module: Any = import_module(f"regionkit.messaging.statement_sql{'_async' if IS_ASYNC else ''}")
        made = getattr(module, f"{'Async' if IS_ASYNC else ''}SqlStatement")(sql)
        self.register(
            Handler(type, made.one, attempts, timeout, rerunnable=True, batch=batch, many=made.many, fused=made)
        )
