"""What a CQL statement does, read off its text: whether it only reads, what it writes, and on what condition. Pure.

Words inside strings, comments, quoted names and names of parameters do not count. The words looked for are reserved in CQL, so
no column or table is called like that.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Facts", "facts_of", "joined"]

_TOKEN = re.compile(
    r"""(?P<skip>\s+|--[^\n]*|//[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\$\$.*?\$\$|%\([^)]*\)s|:[A-Za-z_]\w*)
    |"(?P<quoted>(?:[^"]|"")*)"
    |(?P<word>[A-Za-z_]\w*)
    |(?P<sign>.)""",
    re.DOTALL | re.VERBOSE,
)
_CHANGES = frozenset({"INSERT", "UPDATE", "DELETE", "BEGIN"})
_NAMES_A_TABLE = frozenset({"INTO", "UPDATE", "FROM"})


class Facts(NamedTuple):
    """Of one statement, or of all in a batch.

    Attributes:
        keyword: its first word, in capitals; "" where there is none.
        tables: those it names, "table" or "keyspace.table".
        conditional: it says IF: a lightweight transaction.
        stamped: it says USING TIMESTAMP.
    """

    keyword: str
    tables: tuple[str, ...] = ()
    conditional: bool = False
    stamped: bool = False

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.keyword == "SELECT"

    @property
    def changes_rows(self) -> bool:
        """Whether it is an INSERT, UPDATE, DELETE or a batch: not a change of the schema."""
        return self.keyword in _CHANGES


class _Token(NamedTuple):
    text: str
    is_word: bool
    """Not quoted."""


def facts_of(text: str) -> Facts:
    """The facts of a statement, or of a batch written as one text."""
    tokens = [
        _Token(found["word"], True)
        if found["word"] is not None
        else _Token((found["quoted"] or "").replace('""', '"') if found["sign"] is None else found["sign"], False)
        for found in _TOKEN.finditer(text)
        if found["skip"] is None
    ]
    words = [token.text.upper() if token.is_word else "" for token in tokens]
    keyword = words[0] if words else ""
    if keyword != "SELECT" and keyword not in _CHANGES:
        return Facts(keyword)
    tables = {_name(tokens, at + 1) for at, word in enumerate(words) if word in _NAMES_A_TABLE}
    stamped = any(_stamps(words, at) for at, word in enumerate(words) if word == "USING")
    return Facts(keyword, tuple(sorted(tables - {""})), "IF" in words, stamped)


def joined(parts: list[Facts]) -> Facts:
    """The facts of a batch of statements."""
    tables = sorted({table for part in parts for table in part.tables})
    return Facts("BEGIN", tuple(tables), any(part.conditional for part in parts), any(part.stamped for part in parts))


def _name(tokens: list[_Token], at: int) -> str:
    """The name that begins at a token; "" where none does."""
    parts = []
    while at < len(tokens):
        parts.append(tokens[at].text.lower() if tokens[at].is_word else tokens[at].text)
        if at + 1 >= len(tokens) or tokens[at + 1].text != ".":
            break
        at += 2
    return ".".join(parts)


def _stamps(words: list[str], at: int) -> bool:
    """Whether the USING at a word sets the time stamp: as its first or its second setting."""
    if words[at + 1 : at + 2] == ["TIMESTAMP"]:
        return True
    ends = {"SET", "WHERE", "IF", "APPLY", "INSERT", "UPDATE", "DELETE", "USING"}
    for position in range(at + 1, len(words)):
        if words[position] in ends:
            return False
        if words[position : position + 2] == ["AND", "TIMESTAMP"]:
            return True
    return False
