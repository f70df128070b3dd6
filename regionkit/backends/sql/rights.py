"""Which right an account lacks, and how to grant it, from what a SQL server refused. Pure.

Sources: PostgreSQL manual, appendix A (42501) and "Privileges"; MariaDB error reference (1142, 1143, 1227, 1370).
"""

from __future__ import annotations

import re
from typing import Any

from regionkit.backends.sql.classify import code_of
from regionkit.backends.sql.server import SqlContext
from regionkit.contract.endpoint_errors import first_line, lacks_right
from regionkit.errors import RegionUnavailable
from regionkit.topology import sql_url

__all__ = ["lacking", "lacking_own", "lacking_replication"]

INSUFFICIENT_PRIVILEGE = "42501"
TABLE_DENIED = (1142, 1143)
"""ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR."""
_POSTGRES = re.compile(r"(schema|table|relation|view|sequence|database) \"?([\w.-]+)\"?$")
_MARIADB = re.compile(r"(\w[\w ]*?) command denied to user (\S+) for (?:table|column) (?:.* in table )?([`'\w.$-]+)")
_BEGINNINGS = ("SET", "BEGIN", "START")
"""First words of a message of several statements."""
_WALSENDER = ("start walsender", "start WAL sender", "REPLICATION attribute")
_NO_LINE = "no pg_hba.conf entry for replication connection"


def lacking(context: SqlContext, error: BaseException, table: str = "") -> RegionUnavailable | None:
    """The error that names the right that a statement lacked; None where it failed for another reason.

    `table`: that it was about, for a server that does not say so in English.
    """
    code = code_of(error)
    if code != INSUFFICIENT_PRIVILEGE and code not in TABLE_DENIED:
        return None  # its words are not asked for: an error of the application's may have none
    said = first_line(error)
    if code == INSUFFICIENT_PRIVILEGE:
        right, grant = _of_postgres(said, _verb(error), table)
        account = _account(context, reads=right.startswith(("SELECT", "USAGE")))
        return lacks_right(context, right, f"{grant} TO {account}; as the owner of it or a superuser.", said)
    found = _MARIADB.search(said)
    verb, account, name = found.groups() if found else (_verb(error), _account(context), table)
    name = name.replace("`", "").replace("'", "")
    if "." not in name:  # MySQL names the table alone
        name = f"{_database(context)}{name}"
    return lacks_right(context, f"{verb} on {name}", f"GRANT {verb} ON {name} TO {account};", said)


def lacking_own(context: SqlContext, error: BaseException) -> RegionUnavailable | None:
    """The same of a table of regionkit's; None also for the application's own tables: those are its own affair."""
    own = f"{context.namespace}_rk_"
    named = re.search(rf"\b{re.escape(own)}\w+", str(getattr(error, "statement", "")))
    right = lacking(context, error, named.group() if named else "")
    return right if right is not None and own in right.cause else None


def _of_postgres(said: str, verb: str, table: str) -> tuple[str, str]:
    found = _POSTGRES.search(said)
    kind, name = found.groups() if found else ("table", table or "the table")
    if kind in ("schema", "database"):
        verb = "CREATE" if verb in ("CREATE", "ALTER") else "USAGE"
        return f"{verb} on {kind} {name}", f"GRANT {verb} ON {kind.upper()} {name}"
    if kind == "sequence":  # what numbers the rows of an INSERT
        return f"USAGE on sequence {name}", f"GRANT USAGE ON SEQUENCE {name}"
    return f"{verb} on {name}", f"GRANT {verb} ON {name}"


def _verb(error: BaseException) -> str:
    """What the statement does: its first word. What has none is a question of regionkit's own; of a message of several nobody
    knows which one.
    """
    statement: Any = getattr(error, "statement", None)
    words = str(statement or "SELECT").split(None, 1)
    first = words[0].upper() if words else "SELECT"
    return first if first not in _BEGINNINGS else "SELECT, INSERT, UPDATE, DELETE"


def _database(context: SqlContext) -> str:
    url = context.endpoint.url
    name = None if url is None else sql_url(url, is_async=False).database
    return f"{name}." if name else ""


def _account(context: SqlContext, *, reads: bool = False) -> str:
    """The account of the URL; of what a read lacks, that of `read_url` where there is one: the other made the tables."""
    url = context.endpoint.read_url if reads and context.endpoint.read_url else context.endpoint.url
    name = None if url is None else sql_url(url, is_async=False).username
    return f'"{name}"' if name else "the account"


def lacking_replication(context: SqlContext, error: BaseException) -> RegionUnavailable | None:
    """The error of a replication connection that PostgreSQL refused for want of a right; None for another reason."""
    said = first_line(error)
    if any(words in said for words in _WALSENDER):
        return lacks_right(
            context,
            "REPLICATION, by which the proof of a promotion is read",
            f"ALTER ROLE {_account(context)} REPLICATION; or call kit.adopt(store, region) after each promotion.",
            said,
        )
    if _NO_LINE in said:
        return lacks_right(
            context,
            "a replication line in pg_hba.conf, by which the proof of a promotion is read",
            f"add `host replication {_account(context)} ...` to pg_hba.conf and reload it; or say kit.adopt(store, region) "
            "after each promotion.",
            said,
        )
    return None
