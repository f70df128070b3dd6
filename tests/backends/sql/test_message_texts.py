"""What is done to the texts of a message before it is sent, and where no answer comes. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import psycopg
import pytest

from regionkit.backends.sql import message_psycopg
from regionkit.backends.sql.message import _ends, _significant


@pytest.mark.parametrize(
    ("server", "text", "left"),
    [
        ("postgresql", " ; -- nothing", ""),
        ("postgresql", "/* a /* nested */ one */ SELECT 1;;\n", "SELECT 1"),
        ("sqlite", "/* a /* flat */ SELECT 1", "SELECT 1"),
        ("mariadb", "# nothing\n;", ""),
        ("mariadb", "/* a */ /*! SELECT 1 */", "/*! SELECT 1 */"),
        ("mariadb", "/*M!100100 SELECT 1 */", "/*M!100100 SELECT 1 */"),
        ("postgresql", "/* it does not end", ""),
        ("postgresql", "SELECT ';--' -- ;", "SELECT ';--' --"),
        ("postgresql", "SELECT ';'", "SELECT ';'"),
    ],
)
def test_blanks_comments_and_semicolons_around_a_text_are_left_out(server: str, text: str, left: str) -> None:
    """What is not left is not sent."""
    assert _significant(text, server) == left


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("commit", "COMMIT"),
        ("END", "COMMIT"),
        ("COMMIT AND CHAIN", "COMMIT"),
        ("COMMIT PREPARED 'x'", ""),
        ("ROLLBACK WORK", "ROLLBACK"),
        ("ROLLBACK TO SAVEPOINT a", ""),
        ("ROLLBACK WORK TO SAVEPOINT a", ""),
        ("ROLLBACK PREPARED 'x'", ""),
        ("abort", "ROLLBACK"),
        ("SELECT 1", ""),
        ("XA COMMIT 'x'", ""),
    ],
)
def test_what_ends_the_whole_transaction(text: str, how: str) -> None:
    """Savepoints and prepared transactions are others."""
    assert _ends(text) == how


def test_no_answer_at_all_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the loss was noticed before, libpq has no result and no error: a COMMIT would end in an IndexError."""

    def nothing(_: object) -> Iterator[None]:
        yield from ()

    monkeypatch.setattr(message_psycopg.generators, "send", nothing)
    monkeypatch.setattr(message_psycopg.generators, "fetch", nothing)
    driver = SimpleNamespace(_check_connection_ok=lambda: None, pgconn=SimpleNamespace(send_query=lambda command: None))
    with pytest.raises(psycopg.OperationalError, match="before an answer came"):
        list(message_psycopg._ask_gen(driver, b"COMMIT", []))
