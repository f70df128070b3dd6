"""Several statements in one message to a SQL server, and what it answered to each. Values only.

1. The first statement that fails ends the message: what follows it was not done, and its error is raised.
2. A tag that differs from the one that is waited for is an error too: COMMIT of an aborted transaction answers ROLLBACK.
3. The deadline closes the connection; whatever happens, no answer is left unread.
"""

from __future__ import annotations

from typing import Any

import msgspec

from regionkit.errors import ConfigurationError

__all__ = ["Answer", "Statement", "no_messages"]


def no_messages(server: str) -> ConfigurationError:
    """What a backend says that is no SQL server."""
    return ConfigurationError(
        f"{server} takes no SQL messages.",
        why="several statements in one message are a matter of SQL servers.",
        fix="use the unit's native client; its pipelines or batches send several commands at once.",
    )


class Statement(msgspec.Struct, frozen=True, gc=False):
    """One statement, without parameters: values are the caller's to quote. `tag`: what its answer has to say; "": anything."""

    text: str
    tag: str = ""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What the server said to one statement.

    Attributes:
        tag: its command tag in capitals, without counts ("COMMIT", "INSERT"); "" where the driver is told none.
        rows: in the order of the columns, as the driver decodes them; () for a statement without rows.
        count: rows changed; -1 where it is not told.
        notices: what the server warned of.
    """

    tag: str
    rows: tuple[tuple[Any, ...], ...] = ()
    count: int = -1
    notices: tuple[str, ...] = ()
