"""Sessions that cross processes by bookmark, on a store that is being disturbed, recorded and checked."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from regionkit import BOUNDED, EVENTUAL, SESSION, RegionKit, RegionKitError, StaleRead, Topology
from regionkit.testing import Recorder, check
from regionkit.testing.checking import check_outcomes, check_sessions
from regionkit.testing.guarantees import Guarantee
from regionkit.testing.history import History

SIGNING = "a key of more than sixteen characters"


class Campaign:
    """Workers write versions of their own keys and read everybody's, each session in another region than the last.

    Args:
        topology: of the store "orders".
        regions: one kit in each; a session goes on in any of them with its bookmark.
        actions: put(db, key, value) and get(db, key).
        bounded: whether BOUNDED reads are possible.
        remembers: whether a session remembers what an EVENTUAL read showed it; on Cassandra none does, and no order covers keys.
    """

    def __init__(
        self,
        topology: Topology,
        regions: Sequence[str],
        actions: Any,
        *,
        bounded: bool,
        remembers: bool = True,
        profile: Any = "aggressive",
    ) -> None:
        self.topology = topology
        self.regions = regions
        self.actions = actions
        self.bounded = bounded
        self.remembers = remembers
        self.profile = profile
        self.recorder = Recorder("campaign")
        self.errors: Counter[str] = Counter()
        self.routes: Counter[str] = Counter()
        self.acknowledged = 0
        self.surprises: list[BaseException] = []
        self.stopping = threading.Event()

    def run(self, seconds: float, disturb: Callable[[], Any] = lambda: None, workers: int = 4) -> History:
        """Work for `seconds` while `disturb` runs; the history."""
        with ExitStack() as stack:
            kits = [
                stack.enter_context(
                    RegionKit(self.topology, local=region, bookmark_keys=[SIGNING], profile=self.profile)
                )
                for region in self.regions
            ]
            threads = [threading.Thread(target=self._worker, args=(kits, number)) for number in range(workers)]
            for thread in threads:
                thread.start()
            end = time.monotonic() + seconds
            try:
                disturb()
                time.sleep(max(0.0, end - time.monotonic()))
            finally:
                self.stopping.set()
                for thread in threads:
                    thread.join()
        if self.surprises:
            raise self.surprises[0]
        return self.recorder.history()

    def verdict(self, history: History, *, lossy: bool = False) -> None:
        """No promise was broken. `lossy`: acknowledged writes were lost with their owner; a bound speaks of what survived."""
        found = check_sessions(history) + check_outcomes(history) if lossy else check(history)
        if not self.remembers:  # no order covers its keys: others see their writes as they come
            unordered = (Guarantee.MONOTONIC_WRITES, Guarantee.WRITES_FOLLOW_READS)
            found = [v for v in found if getattr(v, "guarantee", None) not in unordered]
        print(f"{len(history)} operations; served by {dict(self.routes)}; errors {dict(self.errors)}")
        assert found == [], "\n".join(map(str, found[:5]))

    def _worker(self, kits: list[RegionKit], number: int) -> None:
        rng = random.Random(number)
        version, bookmark, mark = 0, "", ""
        try:
            while not self.stopping.is_set():
                version, bookmark, mark = self._session(rng, rng.choice(kits), number, version, bookmark, mark)
        except BaseException as error:
            self.surprises.append(error)

    def _session(
        self, rng: random.Random, kit: RegionKit, number: int, version: int, bookmark: str, mark: str
    ) -> tuple[int, str, str]:
        log = self.recorder.session(after=mark)
        with kit.session(bookmark=bookmark) as s:
            writes = 0.4 if rng.random() < 0.6 else 0.0  # many sessions only read: what they saw is all they know
            for _ in range(rng.randrange(2, 7)):
                try:
                    if rng.random() < writes:
                        version += 1
                        self._write(s, log, f"k{number}", version)
                    else:
                        self._read(rng, s, log, f"k{rng.randrange(4)}")
                except StaleRead as error:
                    self.errors["StaleRead, lost" if error.lost else "StaleRead"] += 1
                    return version, "", ""  # what it saw did not survive, or cannot be proved now: a new session
                except RegionKitError as error:
                    self.errors[type(error).__name__] += 1
                if s.last_route is not None:
                    self.routes[s.last_route.region] += 1
            return version, s.bookmark(), log.mark()

    def _write(self, s: Any, log: Any, key: str, version: int) -> None:
        with log.write(key, version):  # as a function: a proved rollback, such as a deadlock, runs it again
            s.execute_write("orders", lambda db: self.actions.put(db, key, str(version)))
        self.acknowledged += 1

    def _read(self, rng: random.Random, s: Any, log: Any, key: str) -> None:
        level = rng.choice([SESSION, SESSION, SESSION, EVENTUAL, BOUNDED(0.3) if self.bounded else SESSION])
        if level is EVENTUAL and not self.remembers:
            log = self.recorder.session()  # one of its own: it promises nothing to this one
        with log.read(key, level) as seen, s.read("orders", consistency=level) as db:
            found = self.actions.get(db, key)
            seen.version = None if found is None else int(found)
