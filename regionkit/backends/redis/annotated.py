"""What a pipeline says of the command that failed, in threads and in asyncio.

redis-py 6.4 forgets an "f" in front of its text in asyncio: its users read "{exception.args}" where the server's words should be.
"""

from __future__ import annotations

from typing import Any

__all__ = ["annotated"]

_UNFILLED = "{exception.args}"


def annotated(kind: Any) -> Any:
    """`annotate_exception` of a pipeline class: an error's text begins with the command, and has the server's words."""

    def annotate_exception(self: Any, exception: Exception, number: int, command: Any) -> None:
        """As redis-py does, with the server's own words."""
        said = exception.args
        kind.annotate_exception(self, exception, number, command)
        if exception.args and _UNFILLED in str(exception.args[0]):
            exception.args = (str(exception.args[0]).replace(_UNFILLED, str(said)), *exception.args[1:])

    return annotate_exception
