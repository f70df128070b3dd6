"""Which rights an account of MariaDB or MySQL has, by SHOW GRANTS, and who else writes regionkit's tables.

That list does not show rights that a role gives, so nothing is reported as missing for an account with a role. Sources: MariaDB
and MySQL manuals, "SHOW GRANTS"; MySQL manual, "Privileges Provided by MySQL".
"""

from __future__ import annotations

import re

from regionkit.backends.sql.asking import Asking

__all__ = ["Grants", "granted", "other_writers", "quoted"]

NEEDED = {"history": ("SELECT", "INSERT")} | dict.fromkeys(
    ("marker", "record"), ("SELECT", "INSERT", "UPDATE", "DELETE")
)
PAST_READ_ONLY = frozenset({"SUPER", "READ_ONLY ADMIN", "READ ONLY ADMIN", "CONNECTION_ADMIN"})
"""Rights of which one writes to a server in spite of read_only: MariaDB's, and MySQL's."""
ADMINISTRATOR = frozenset({"SUPER", "SHUTDOWN", "CREATE USER"})
"""MySQL 8 writes ALL PRIVILEGES as the list of them; who has these three may do everything."""
RECOVERS = "XA_RECOVER_ADMIN"
MOST_NAMED = 20
"""Accounts named at most."""
_GRANT = re.compile(r"GRANT (.+?) ON (\S+) TO ")


def granted(lines: list[str]) -> list[tuple[frozenset[str], str]]:
    """(rights, on what) of lines of SHOW GRANTS. Pure."""
    found = []
    for line in lines:
        match = _GRANT.match(line)
        if match:
            rights = re.sub(r"\([^)]*\)", "", match[1])  # rights on columns
            names = frozenset(name.strip().upper() for name in rights.split(","))
            found.append((names, match[2].replace("`", "").replace("\\", "")))
    return found


def quoted(account: str) -> str:
    """An account as GRANT takes it: CURRENT_USER() gives user@host without quotes. Pure."""
    user, at, host = account.rpartition("@")
    return "" if not at else "@".join("'{}'".format(part.replace("'", "''")) for part in (user, host))


class Grants:
    """The rights of one account, whose name is quoted. Pure."""

    def __init__(self, lines: list[str], account: str) -> None:
        self._held = granted(lines)
        self._to = account
        self.are_known = bool(self._held) and all(map(_GRANT.match, lines))
        """No line grants a role or takes a part back."""

    @property
    def rights(self) -> frozenset[str]:
        """In words of the doctor's rules."""
        everywhere: set[str] = set()
        for names, on in self._held:
            if on == "*.*":
                everywhere |= names
        found = set()
        whole = "ALL PRIVILEGES" in everywhere
        if whole or everywhere & PAST_READ_ONLY:
            found.add("past read_only")
        if whole or everywhere >= ADMINISTRATOR:
            found.add("everything")
        if whole or RECOVERS in everywhere:
            found.add("recovers branches")
        if any(names & {"ALL PRIVILEGES", "INSERT", "UPDATE", "DELETE"} for names, _ in self._held):
            found.add("writes")
        if self.are_known:
            found.add("known")
        return frozenset(found)

    def lacks(self, tables: dict[str, str], database: str, *, is_primary: bool) -> tuple[tuple[str, str], ...]:
        """(right, GRANT) of what routing's tables need; `tables`: their whole names, by name."""
        if not self.are_known:
            return ()
        found = []
        for name, whole in tables.items():
            have: set[str] = set()
            for names, on in self._held:
                if on in ("*.*", f"{database}.*", f"{database}.{whole}") or "%" in on:
                    have |= names
            if "ALL PRIVILEGES" in have:
                continue
            needed = NEEDED[name] if is_primary else ("SELECT",)
            found += [
                (f"{right} on {whole}", f"GRANT {right} ON {database}.{whole} TO {self._to};")
                for right in needed
                if right not in have
            ]
        return tuple(found)


def other_writers(asking: Asking, tables: dict[str, str], database: str, account: str) -> tuple[str, ...]:
    """Other accounts with rights on the database or on the tables, where mysql.* may be read."""
    if not tables:
        return ()
    on_database = asking.run(
        "SELECT DISTINCT CONCAT(User, '@', Host) FROM mysql.db "
        "WHERE :database LIKE Db AND 'Y' IN (Insert_priv, Update_priv, Delete_priv)",
        database=database,
    )
    listed = ", ".join(f"'{name}'" for name in tables.values())
    on_tables = asking.run(
        "SELECT DISTINCT CONCAT(User, '@', Host) FROM mysql.tables_priv WHERE Db = :database "  # noqa: S608  # checked names
        f"AND Table_name IN ({listed}) AND Table_priv REGEXP 'Insert|Update|Delete'",
        database=database,
    )
    found = sorted({str(row[0]) for row in (*on_database, *on_tables)} - {account})
    return tuple(found[:MOST_NAMED])
