"""Texts from outside, as every server keeps them: an error's words, a name that somebody else chose. Pure.

PostgreSQL keeps no NUL, and no driver sends half of a surrogate pair. A text with one of them that goes into a row as it is
makes the row impossible, and with it what the row is about: the case of a failed message, for example.
"""

from __future__ import annotations

__all__ = ["storable", "words_of"]


def storable(text: str) -> str:
    r"""`text` with NUL and halves of surrogate pairs written out: `\x00`, `\ud800`."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")


def words_of(error: BaseException) -> str:
    """What an error says. Never raises: the class of an error may be unable to say anything."""
    try:
        return storable(str(error))
    except Exception as broken:
        return f"(no text: its __str__ raises {type(broken).__name__})"
