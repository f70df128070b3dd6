"""The error hospital: cases that people look at and treat, and keys that go on in order."""

from __future__ import annotations

from typing import Any

from messaging.hospital_rig_async import AsyncWard, numbered


async def test_a_key_waits_for_its_poison_and_goes_on_in_order(accounts: Any) -> None:
    """Edited and retried: what waits behind it is applied after it, in order; others never waited."""
    async with AsyncWard(accounts) as ward:
        await ward.publish(numbered("a", 1), numbered("a", 2, {"n": 2, "poison": True}))
        await ward.publish(*(numbered("a", n) for n in (3, 4, 5)), numbered("b", 1))
        summary = await ward.run()
        assert (summary.parked, summary.held, summary.applied) == (1, 3, 2)
        assert (ward.ledger("a"), ward.ledger("b")) == ([1], [1])
        case = await ward.the_case()
        assert (case.status, case.reason, case.key, case.attempts) == ("admitted", "failed", "a", 1)
        shown = await ward.hospital.show(case.id)
        assert shown.message.payload == {"n": 2, "poison": True}
        assert [held.n for held in shown.held] == [3, 4, 5]
        assert "Poison" in shown.case.error_type and "cannot take 2" in shown.case.error

        edited = await ward.hospital.edit(case.id, {"n": 2}, reason="a typo")
        assert edited.status == "admitted"
        assert (await ward.run()).applied == 0  # it waits until it is retried
        assert (await ward.hospital.retry(case.id)).status == "retrying"
        assert (await ward.run()).applied == 4
        assert ward.ledger("a") == [1, 2, 3, 4, 5]
        assert ward.rows("held") == 0
        await ward.publish(numbered("a", 6))
        assert (await ward.run()).applied == 1
        over = await ward.hospital.show(case.id)
        assert over.case.status == "discharged"
        assert over.message.headers["amends"] == shown.message.id != over.message.id
        assert [(line.what, line.who) for line in over.trail] == [
            ("admitted", "consumer"),
            ("edited", "ann"),
            ("retried", "ann"),
            ("discharged", "consumer"),
        ]
        assert over.trail[1].reason == "a typo"
        assert over.trail[1].was is not None and over.trail[1].was.payload == {"n": 2, "poison": True}
