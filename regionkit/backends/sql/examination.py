"""What a SQL server and the accounts of an endpoint say of themselves, for `regionkit doctor`.

Each account is asked on a connection of its own kind, with the settings that blocks have. Nothing is changed.
"""

from __future__ import annotations

from typing import Any

import msgspec

from regionkit.backends.sql.asking import Asking
from regionkit.backends.sql.examination_mariadb import ask_mariadb
from regionkit.backends.sql.examination_mysql import ask_mysql
from regionkit.backends.sql.examination_postgres import ask_postgres
from regionkit.contract.examination import Examined
from regionkit.core.deadline import Deadline
from regionkit.facts.request import Kind
from regionkit.topology import sql_url

__all__ = ["examine"]


def examine(endpoint: Any, deadline: Deadline, *, is_primary: bool) -> Examined:
    """Ask a synchronous endpoint's server; the account of `url`, and that of `read_url` where there is one.

    Raises:
        RegionKitError: it cannot be reached.
    """
    if endpoint._context.endpoint.read_url is None:
        return _asked(endpoint, Kind.READ, deadline, is_primary)
    found = _asked(endpoint, Kind.WRITE, deadline, is_primary)
    reader = _asked(endpoint, Kind.READ, deadline, False)
    lacks = (*found.lacks, *(lack for lack in reader.lacks if lack not in found.lacks))
    return msgspec.structs.replace(found, read_account=reader.account, read_rights=reader.rights, lacks=lacks)


def _asked(endpoint: Any, kind: Kind, deadline: Deadline, is_primary: bool) -> Examined:
    context = endpoint._context
    text = (context.endpoint.read_url if kind is Kind.READ else None) or context.endpoint.url
    checkout = endpoint.check_out(kind, deadline, deadline.require("connecting"))
    try:
        url = None if text is None else sql_url(text, is_async=False)
        asking = Asking(checkout.connection, context, url, is_primary)
        match checkout.connection.dialect.name:
            case "postgresql":
                return ask_postgres(asking)
            case "mysql" | "mariadb":
                is_mariadb = "mariadb" in str(asking.one("SELECT VERSION()") or "").lower()
                return ask_mariadb(asking) if is_mariadb else ask_mysql(asking)
        return Examined(server="sqlite", version=str(asking.one("SELECT sqlite_version()") or ""), tables=asking.kept())
    finally:
        checkout.release()
