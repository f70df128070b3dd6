"""What an error says of an endpoint: the server's codes do, an application's numbers do not."""

from __future__ import annotations

import pymysql
import pytest
import sqlalchemy

from regionkit.backends.sql.classify import classify
from regionkit.contract.outcomes import Failure


@pytest.mark.parametrize("error", [KeyError(1213), ValueError(2006), LookupError("40001"), ZeroDivisionError()])
def test_an_applications_number_is_no_code(error: Exception) -> None:
    """A KeyError of order 1213 is no deadlock: nothing is run again for it."""
    assert classify(error) is Failure.APPLICATION


def test_the_servers_code_is_found_wrapped_and_bare() -> None:
    """SQLAlchemy's wrapper, or the driver's own error."""
    deadlock = pymysql.err.OperationalError(1213, "Deadlock found")
    assert classify(deadlock) is Failure.ROLLED_BACK
    assert classify(sqlalchemy.exc.OperationalError("UPDATE", {}, deadlock)) is Failure.ROLLED_BACK
