"""Write what each backend declares into docs/reference/support-matrix.md, between its marks.

    python scripts/support_matrix.py [--check]

Under --check a page that says something else is an error, and nothing is written.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "support-matrix.md"
BEGIN, END = "<!-- capabilities -->", "<!-- end -->"
SERVERS = {
    "postgresql": "regionkit.backends.sql.postgres_server:PostgresServer",
    "mariadb": "regionkit.backends.sql.mariadb_server:MariaServer",
    "mysql": "regionkit.backends.sql.mysql_words:MYSQL_WORDS",
    "sqlite": "regionkit.backends.sql.sqlite_server:SqliteServer",
    "redis": "regionkit.backends.redis.endpoint:RedisEndpoint",
    "mongodb": "regionkit.backends.mongo.endpoint:MongoEndpoint",
    "cassandra": "regionkit.backends.cassandra.endpoint:CassandraEndpoint",
    "memory": "regionkit.backends.memory.endpoint:MemoryEndpoint",
}
"""Where each server's capabilities are declared."""
MODES = ("core", "snapshot", "transaction")


def capabilities(server):
    """What a server's backend declares."""
    module, _, name = SERVERS[server].partition(":")
    return getattr(import_module(module), name).capabilities


def matrix() -> str:
    """The part of the page that is made."""
    declared = [capabilities(server) for server in SERVERS]
    rows = {
        "`positions`": [_said(c.positions) for c in declared],
        "`bounded`": [_said(c.bounded) for c in declared],
        "`strong`": [_said(bool(c.strong)) for c in declared],
        "`read_only`": [c.read_only for c in declared],
        "`transactions`": [_said(c.transactions) for c in declared],
        "`markers`": [_said(c.markers) for c in declared],
        "`detects_promotion`": [_said(c.detects_promotion) for c in declared],
        "`leaderless`": [_said(c.leaderless) for c in declared],
    }
    rows |= {f"`{mode}=True`": [_said(mode in c.modes) for c in declared] for mode in MODES}
    lines = ["| | " + " | ".join(SERVERS) + " |", "|---" * (len(SERVERS) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(values) + " |" for name, values in rows.items()]
    lines += ["", "What `STRONG` reads:", ""]
    lines += [f"- {server}: {c.strong or 'refused'}" for server, c in zip(SERVERS, declared)]
    for server, c in zip(SERVERS, declared):
        lines += ["", f"Limits of {server}:", ""]
        lines += [f"- {note}" for note in c.notes]
    return "\n".join(lines)


def page() -> str:
    """The whole page as it has to be."""
    text = PAGE.read_text()
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n{matrix()}\n\n{END}{rest.split(END)[1]}"


def _said(value: bool) -> str:
    return "yes" if value else "no"


def main() -> int:
    wanted = page()
    if PAGE.read_text() == wanted:
        return 0
    if "--check" in sys.argv:
        print("stale:", PAGE.relative_to(ROOT), "- run: python scripts/support_matrix.py", file=sys.stderr)
        return 1
    PAGE.write_text(wanted)
    print("made", PAGE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
