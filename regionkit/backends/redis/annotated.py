"""What a pipeline says of the command that failed. Mixed into the pipelines of threads and of asyncio.

redis-py 6.4 forgets an "f" in front of its text in asyncio: its users read "{exception.args}" where the server's words should be.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Annotated"]

_UNFILLED = "{exception.args}"


class Annotated:
    """A pipeline whose errors show what the server said."""

    def annotate_exception(self, exception: Exception, number: int, command: Any) -> None:
        """Put the command in front of an error's text."""
        said = exception.args
        driver: Any = super()
        driver.annotate_exception(exception, number, command)
        if exception.args and _UNFILLED in str(exception.args[0]):
            exception.args = (str(exception.args[0]).replace(_UNFILLED, str(said)), *exception.args[1:])
