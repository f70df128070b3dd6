"""The statements of a decision log in SQL, as texts for messages: values are quoted here. Pure.

1. A decision is one INSERT. The floor is locked in a subquery of it and compared; of a gtrid that is closed, or of a log
   without its meta row, it makes NULL, which the key refuses (before 8.0.16 MySQL has no checks): it fails as a duplicate does,
   and nothing has to be read in between.
2. Whoever reads a decision has to know it as durable as the one who made it: another's COMMIT may be visible and not yet be
   flushed (MariaDB without binlog) or replicated (PostgreSQL, after its wait was cancelled). A read ends with a small write
   and a COMMIT of its own, whose waits cover what was read.
3. PostgreSQL: a session's synchronous_commit counts for nothing here, unless it is remote_apply.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from sqlalchemy.exc import DBAPIError, IntegrityError

from regionkit.contract.message import Statement
from regionkit.core.tables import table_name
from regionkit.transactions.kept_tables import LOG, LOG_TABLES
from regionkit.transactions.protocol import Decision
from regionkit.transactions.recovery_rules import Row, forgotten, unsettled
from regionkit.transactions.tables_sql import NOW
from regionkit.transactions.xid import check_branches, check_gtrid

__all__ = ["DONE", "OPEN", "LogSql", "missing", "quoted", "refused", "row_of"]

LONGEST_BY = 120
_LOCKS = MappingProxyType(
    {
        "postgresql": (" FOR SHARE", " FOR UPDATE"),
        **dict.fromkeys(("mariadb", "mysql"), (" LOCK IN SHARE MODE", " FOR UPDATE")),
        "sqlite": ("", ""),
    }
)
_UNPLAIN = re.compile(r"[^ !#-&(-\[\]-~]")  # quotes, backslashes, and what is not printable ASCII

_SYNC = Statement(
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') <> 'remote_apply'"
)
_ISOLATION = Statement("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
_COMMIT = Statement("COMMIT", tag="COMMIT")


_INSERT = """INSERT INTO {log} (gtrid, state, branches, hazards, decided_by, decided_at, unsettled) VALUES (
  CASE WHEN (SELECT floor FROM {meta} WHERE id = 1%(own)s{share}) < '%(gtrid)s' THEN '%(gtrid)s' ELSE NULL END,
  %(state)s, '%(branches)s', '{{}}', '%(by)s', {now}, %(unsettled)s)"""
_READ = """SELECT gtrid, state, branches, hazards, decided_by, decided_at, done_at FROM {log}
  WHERE (%(condition)s) AND gtrid > '%(after)s' ORDER BY gtrid LIMIT %(most)s"""
_TEXTS = MappingProxyType(
    {
        "has_meta": "SELECT count(*) FROM {meta} WHERE id = :id",
        "make_meta": "INSERT INTO {meta} (id, log_id, history, floor, made_at, beats_until) "
        "VALUES (:id, :log_id, :history, :floor, {now}, 0)",
        "facts": "SELECT log_id, history, floor, {now} FROM {meta} WHERE id = 1",
        "own": "SELECT log_id, {where} FROM {meta} WHERE id = 1",
        "met": "SELECT log_id, {where}, {met} FROM {meta} WHERE id = 1",
        "adopt": "UPDATE {meta} SET history = :history WHERE id = 1",
        "insert": _INSERT,
        "read": _READ,
        "floor": "SELECT floor FROM {meta} WHERE id = 1{read_share}",
        "touch": "UPDATE {meta} SET made_at = made_at + 1 WHERE id = 2",
        "branches": "SELECT gtrid, branches FROM {log} WHERE gtrid IN (%(gtrids)s) AND state = 1 ORDER BY gtrid{update}",
        "acknowledge": "UPDATE {log} SET %(changes)s WHERE gtrid IN (%(gtrids)s)",
        "hazards": "SELECT hazards FROM {log} WHERE gtrid = :gtrid{update}",
        "make_hazard": "INSERT INTO {log} (gtrid, state, branches, hazards, decided_by, decided_at, unsettled) "
        "VALUES (:gtrid, 2, '{{}}', :hazards, 'hazard', {now}, 1)",
        "locked": "SELECT gtrid, state, branches, hazards, decided_by, decided_at, done_at FROM {log} "
        "WHERE gtrid = :gtrid{update}",
        "forget": "UPDATE {log} SET hazards = '{{}}', branches = :branches, unsettled = :unsettled, "
        "done_at = CASE WHEN :done = 1 THEN {now} ELSE done_at END WHERE gtrid = :gtrid",
        "set_hazards": "UPDATE {log} SET hazards = :hazards, unsettled = 1 WHERE gtrid = :gtrid",
        "instance": "SELECT instance FROM {participant} WHERE name = :name{update}",
        "make_instance": "INSERT INTO {participant} (name, instance, noted_at) VALUES (:name, :instance, {now})",
        "set_instance": "UPDATE {participant} SET instance = :instance, noted_at = {now} WHERE name = :name",
        "beat": "UPDATE {meta} SET beats_until = {now} + :lasts WHERE id = 2 AND beats_until < {now} + :lasts",
        "beating": "SELECT beats_until > {now} FROM {meta} WHERE id = 2",
        "raise": "UPDATE {meta} SET floor = :floor WHERE id = 1",
        "raised": "SELECT floor, {now} FROM {meta} WHERE id = 1{update}",
        "sweep": "DELETE FROM {log} WHERE gtrid IN (SELECT gtrid FROM (SELECT gtrid FROM {log} WHERE gtrid <= :floor "
        "AND (state = 2 OR done_at IS NOT NULL) AND hazards = '{{}}' ORDER BY gtrid LIMIT :most) AS old)",
    }
)


class LogSql:
    """The statements for one server: `sql["facts"]`. `schema`: of its tables, for a connection that looks elsewhere for them."""

    def __init__(self, server: str, namespace: str, schema: str = "") -> None:
        prefix = f'"{schema}".' if schema else ""
        self.server = server
        self.own = ""
        """The log's id, once it is known: what decides refuses to do so in another one."""
        self.table = table_name(namespace, LOG.name)
        self.now = NOW[server]
        share, update = _LOCKS[server]
        names = {table.name.removeprefix("tpc_"): prefix + table_name(namespace, table.name) for table in LOG_TABLES}
        names |= {"now": self.now, "share": share, "update": update, "where": "{where}", "met": "{met}"}
        names["read_share"] = share if server == "postgresql" else ""  # rule 2: locking it is a write there
        self._texts = {name: template.format(**names) for name, template in _TEXTS.items()}
        sync = {"postgresql": [_ISOLATION, _SYNC], "sqlite": []}
        self.begin: list[Statement] = sync.get(server, [_ISOLATION])
        """What a transaction begins with."""

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def decide(self, gtrid: str, want: Decision, branches: Sequence[str], by: str) -> list[Statement]:
        """One transaction. An IntegrityError: a row stands, or the gtrid is closed."""
        return [*self.begin, Statement(self._insert(gtrid, want, branches, by)), _COMMIT]

    def anchor(self, gtrid: str, branches: Sequence[str], by: str) -> list[str]:
        """The same inside a transaction of somebody else's, who commits."""
        sync = [_SYNC.text] if self.server == "postgresql" else []
        return [*sync, self._insert(gtrid, Decision.COMMIT, branches, by)]

    def _insert(self, gtrid: str, want: Decision, branches: Sequence[str], by: str) -> str:
        check_gtrid(gtrid)
        check_branches(branches)
        names = msgspec.json.encode(dict.fromkeys(branches)).decode()
        plain = _UNPLAIN.sub("?", by)[:LONGEST_BY]
        own = f" AND log_id = '{self.own}'" if self.own else ""
        open_ = int(want is Decision.COMMIT)
        values = {"gtrid": gtrid, "state": want.value, "branches": names, "by": plain, "own": own, "unsettled": open_}
        return self["insert"] % values

    def rows(self, gtrids: Sequence[str]) -> list[Statement]:
        """Those of these names, in a transaction of its own: see `read`."""
        return self.read(f"gtrid IN ({quoted(gtrids)})", len(gtrids))

    def read(self, condition: str, most: int, after: str = "") -> list[Statement]:
        """Rows above `after`, in a transaction of its own; rule 2. First behind `begin`: the floor, then the rows."""
        values = {"condition": condition, "most": int(most), "after": check_gtrid(after) if after else ""}
        touch = [Statement(self["touch"])] if self.server in ("mariadb", "mysql") else []
        return [*self.begin, Statement(self["floor"]), Statement(self["read"] % values), *touch, _COMMIT]

    def acknowledge(self, rows: Sequence[Any], told: Mapping[str, Mapping[str, str]]) -> tuple[str, dict[str, str]]:
        """One statement, and its parameters, for rows (gtrid, branches) that are locked."""
        branches, done, over, values = "", "", "", {}
        for n, (gtrid, stored) in enumerate(rows):
            known = msgspec.json.decode(stored, type=dict[str, str | None])
            known |= {branch: history for branch, history in told[gtrid].items() if branch in known}
            values[f"b{n}"] = msgspec.json.encode(known).decode()
            branches += f" WHEN '{gtrid}' THEN :b{n}"
            if None not in known.values():
                done += f" WHEN '{gtrid}' THEN {self.now}"
                over += f" WHEN '{gtrid}' THEN 0"
        changes = f"branches = CASE gtrid{branches} END"
        if done:
            changes += f", done_at = CASE gtrid{done} ELSE done_at END"
            changes += f", unsettled = CASE WHEN hazards <> '{{}}' THEN 1 ELSE CASE gtrid{over} ELSE unsettled END END"
        return self["acknowledge"] % {"changes": changes, "gtrids": quoted([gtrid for gtrid, _ in rows])}, values

    def forgotten(self, found: Any) -> dict[str, Any] | None:
        """Parameters of `forget`, for a row that is locked; None: it bears no hazard."""
        if found is None or not (row := row_of(found)).hazards:
            return None
        row = forgotten(row)
        return {
            "gtrid": row.gtrid,
            "branches": msgspec.json.encode(row.branches).decode(),
            "done": int(row.done),
            "unsettled": int(unsettled(row)),
        }


OPEN = "unsettled = 1"
"""Rows that recovery looks at, by their index: COMMIT rows that are not done, and all that bear a hazard."""
DONE = "state = 1 AND done_at IS NOT NULL"
"""Rows that a new history of a participant reopens."""


def quoted(gtrids: Sequence[str]) -> str:
    """For IN: never empty."""
    return ", ".join(f"'{check_gtrid(gtrid)}'" for gtrid in gtrids) or "''"


def row_of(found: Any) -> Row:
    """A row as recovery reads it."""
    gtrid, state, branches, hazards, by, at, done_at = found
    return Row(
        gtrid,
        Decision(int(state)),
        msgspec.json.decode(branches, type=dict[str, str | None]),
        done_at is not None,
        msgspec.json.decode(hazards, type=dict[str, str]),
        by,
        float(at),
    )


def refused(error: DBAPIError) -> bool:
    """Whether a row stands, or the gtrid is closed."""
    return isinstance(error, IntegrityError)


def missing(error: DBAPIError) -> bool:
    """Whether a table is not there."""
    told: Any = error.orig
    return getattr(told, "sqlstate", "") == "42P01" or told.args[:1] == (1146,) or "no such table" in str(told)
