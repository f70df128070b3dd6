"""What PostgreSQL's answer about itself means for a participant."""

from __future__ import annotations

import pytest

from regionkit.transactions.participants.postgres_facts import Look, findings

FINE = Look(100, "on", "on", "", "7001", "5.shop", "00000001", "public", 0, 0)
CASES = {
    "none may be prepared": (FINE._replace(most=0), "refused", "max_prepared_transactions is 0"),
    "nearly all are in use": (FINE._replace(prepared=80), "warning", "80 of max_prepared_transactions = 100"),
    "nothing is flushed": (FINE._replace(fsync="off"), "refused", "fsync is off"),
    "pages may be torn": (FINE._replace(pages="off"), "refused", "full_page_writes is off"),
    "a standby lags": (FINE._replace(replicas=1), "warning", "standbys are asynchronous"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_risk_is_said_with_what_to_do(case: str) -> None:
    """Refused where a vote could be lost."""
    look, level, what = CASES[case]
    [found] = findings("bank", look, unsafe=False)
    assert (found.level, found.subject) == (level, "bank")
    assert what in found.what
    assert found.fix


def test_a_server_that_keeps_what_it_promised_has_no_findings() -> None:
    """Also with synchronous standbys; what is said to be unsafe is warned of."""
    assert findings("bank", FINE, unsafe=False) == []
    assert findings("bank", FINE._replace(replicas=1, synchronous="*"), unsafe=False) == []
    assert [one.level for one in findings("bank", FINE._replace(fsync="off"), unsafe=True)] == ["warning"]
