"""Lines of SHOW GRANTS of MariaDB and MySQL, without a server."""

from __future__ import annotations

import pytest

from regionkit.backends.sql.grants import Grants, granted, quoted

ROOT = "GRANT SELECT, INSERT, SHUTDOWN, SUPER, CREATE USER, CREATE ROLE ON *.* TO `root`@`%` WITH GRANT OPTION"
APP = "GRANT USAGE ON *.* TO `app`@`%`"


def rights(*lines: str) -> frozenset[str]:
    return Grants(list(lines), "'app'@'%'").rights


def test_lines() -> None:
    """With rights on columns and odd names."""
    lines = [APP, "GRANT SELECT (`a`, `b`), INSERT ON `sh\\_op`.* TO `app`@`%`"]
    assert granted(lines) == [(frozenset({"USAGE"}), "*.*"), (frozenset({"SELECT", "INSERT"}), "sh_op.*")]


@pytest.mark.parametrize(
    ("lines", "held"),
    [
        ([APP], {"known"}),
        ([APP, "GRANT SELECT, UPDATE ON `shop`.* TO `app`@`%`"], {"known", "writes"}),
        ([ROOT, "GRANT XA_RECOVER_ADMIN ON *.* TO `root`@`%`"],
         {"known", "writes", "everything", "past read_only", "recovers branches"}),
        (["GRANT ALL PRIVILEGES ON *.* TO `root`@`%`"],
         {"known", "writes", "everything", "past read_only", "recovers branches"}),
        ([APP, "GRANT CONNECTION_ADMIN ON *.* TO `app`@`%`"], {"known", "past read_only"}),
        ([APP, "GRANT READ_ONLY ADMIN ON *.* TO `app`@`%`"], {"known", "past read_only"}),
        ([APP, "GRANT `team`@`%` TO `app`@`%`"], set()),
        ([ROOT, "REVOKE INSERT ON `mysql`.* FROM `root`@`%`"], {"writes", "everything", "past read_only"}),
        ([], set()),
    ],
)  # fmt: skip
def test_rights(lines: list[str], held: set[str]) -> None:
    """All are known only where no role and no partial revoke stands between."""
    assert rights(*lines) == held


def test_what_is_lacking_is_named_with_its_grant() -> None:
    """On a primary all, on a replica what is read; nothing where a role may give it."""
    tables = {"history": "shop_rk_history"}
    some = Grants([APP, "GRANT SELECT ON `shop`.* TO `app`@`%`"], "'app'@'%'")
    assert some.lacks(tables, "shop", is_primary=True) == (
        ("INSERT on shop_rk_history", "GRANT INSERT ON shop.shop_rk_history TO 'app'@'%';"),
    )
    assert some.lacks(tables, "shop", is_primary=False) == ()
    assert Grants([APP, "GRANT `team`@`%` TO `app`@`%`"], "").lacks(tables, "shop", is_primary=True) == ()


def test_accounts_are_quoted() -> None:
    """A host of `%` and a name with a quote in it stay one account."""
    assert [quoted(a) for a in ("app@%", "o'neil@10.0.0.1", "a@b@%", "")] == [
        "'app'@'%'", "'o''neil'@'10.0.0.1'", "'a@b'@'%'", ""
    ]  # fmt: skip
