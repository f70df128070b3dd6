"""The rules of the buffer: whatever comes late, twice or not at all, readers get no less than was acknowledged."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from spoiling import spoiled

from regionkit.caching.back import buffer_model as module
from regionkit.caching.back.buffer_model import BufferModel
from regionkit.caching.back.rules import MOST_EPOCHS, Acked, Answer, number_of, text_of, version_of

from .back_world import World


def walked(seeds: range, make: Any = BufferModel) -> Counter[str]:
    """Walks at random; how often each answer was given."""
    answers: Counter[str] = Counter()
    for seed in seeds:
        world = World(make)
        world.walks(Random(seed), 200)
        answers.update(world.answers)
    return answers


def test_no_order_of_steps_shows_less_than_was_acknowledged() -> None:
    """Each answer is given often: walks in which nothing happens would prove nothing."""
    answers = walked(range(400))
    wanted = {answer.value for answer in set(Answer) - {Answer.CONFLICT, Answer.LOAD}} | {
        answer.value for answer in Acked
    }
    wanted |= {"held", "settled", "replay", "late done", "late overtaken", "late conflict"}
    wanted |= {"ended", "stored", "parked True", "parked False", "dirty", "newer"}
    assert all(answers[word] > 10 for word in wanted), answers


SWITCHES = {
    "a reserved version of an earlier epoch": [("reserved // EPOCH != self.epoch or ", "")],
    "a late put is overtaken": [(" or self.newest(name) >= reserved", "")],
    "what is settled is not put": [
        (
            "        self.floors[name] = max(self.floors.get(name, 0), version)\n        return Fate",
            "        return Fate",
        )
    ],
    "the run of the server": [("if self.epoch == 0 or self.run != run:", "if self.epoch == 0:")],
    "only a later epoch opens": [("        if epoch <= self.epoch:\n            return self.run == run\n", "")],
    "value and lease go at a put": [("        self._drop(name)\n        self.dirty[name]", "        self.dirty[name]")],
    "the lease goes": [("        self.leases.pop(name, None)\n", "")],
    "what an epoch ago was loaded goes": [("        self.clean.clear()\n        self.leases.clear()\n", "")],
    "what a late ACK finds goes": [("            self._drop(name)\n        if shown", "            pass\n        if shown")],
    "what a late FAIL finds goes": [("        else:\n            self._drop(name)\n        return same", "        return same")],
    "no lease for what is dirty or parked": [
        ("        if self.read(name) is not None:\n            return False\n        self.leases", "        self.leases")
    ],
    "an ACK names a version": [
        ("        if held is not None and held.version <= version:", "        if held is not None:")
    ],
    "an ACK raises the floor": [
        ("            self.floors[name] = max(self.floors.get(name, 0), version)\n", "")
    ],
    "what is older than a discarded value is not kept": [
        ("            self.discarded[name] = aside.held.version\n", "            pass\n")
    ],
    "a superseded value is not shown": [(" and epoch == self.epoch:", ":")],
    "nor one of an earlier epoch": [(" and epoch == self.epoch:", " and epoch:")],
    "a PARK names a version": [
        ("        if not self._is(name, version):\n            if", "        if name not in self.dirty:\n            if")
    ],
    "a FAIL names a version": [("        same = self._is(name, version)\n", "        same = name in self.dirty\n")],
    "a FAIL ends the claim": [("            self.due[name] = now\n        else:\n", "            pass\n        else:\n")],
    "a PARK ends the claim": [
        ("                self.due[name] = now\n            return", "                pass\n            return")
    ],
    "an ended claim is over": [("if at == till and at > now]", "if False]")],
    "and gets nothing late": [("        if self.was_ended(token):\n            return {}\n", "")],
    "no two claims end together": [("max(now + lasts, 1 + max(self.claims.values(), default=0))", "now + lasts")],
    "RETRY keeps what is newer": [('        if name in self.dirty:\n            return "newer"\n', "")],
    "what stands aside is shown": [("        if name in self.parked:\n            return self.parked[name].held\n", "")],
    "what stands aside goes when a later one is written": [
        ("        if aside is not None and aside.held.version <= version:", "        if False and aside is not None:")
    ],
    "behind since that claim": [("max(self.ages[name], min(claimed, now))", "now")],
    "behind since the parked one": [("aside.since if aside else now", "now")],
    "the bound of keys": [("        fits = old is not None or len", "        fits = True or len")],
    "the bound of bytes": [("self.bytes + grows <= self._max_bytes", "True")],
    "ids of puts": [("            if seen is not None:\n                return seen\n", "")],
    "ids that are forgotten": [("        if next(iter(self.puts)) > since or ", "        if ")],
}  # fmt: skip
"""Protections, each by the text that is it, and what stands there without it. The rarest is met by one walk in two thousand."""


@pytest.mark.parametrize("protection", SWITCHES)
def test_without_a_protection_a_walk_fails(protection: str) -> None:
    """Each matters."""
    rules = spoiled(module, SWITCHES[protection])
    with pytest.raises(AssertionError):
        walked(range(6900, 10900), rules["BufferModel"])


def test_versions_are_numbers_that_fit_and_texts_that_compare() -> None:
    """Rule 1."""
    assert text_of(version_of(MOST_EPOCHS, 10**13 - 1)) < text_of(2**63 - 1)
    assert len(text_of(2**63 - 1)) == len(text_of(version_of(1, 1))) == 19
    assert version_of(2, 1) > version_of(1, 10**13 - 1)
    assert number_of(text_of(version_of(7, 9))) == version_of(7, 9)
