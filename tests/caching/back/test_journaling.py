# Generated from test_journaling_async.py by scripts/twins.py. Do not edit.
"""Write-back with a journal: what was acknowledged survives the loss of the server, and nothing that is newer goes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fix_caches import made as engines_of

from regionkit.caching import FileJournal, SqlJournal
from regionkit.caching.back import journal_disk
from regionkit.caching.back.events import JournalRefused, JournalReplayed
from regionkit.caching.back.refusals import JournalBroken, SinkDown
from regionkit.caching.back.rules import Answer, text_of
from regionkit.core.concurrency import sleep
from regionkit.errors import Backpressure, ConfigurationError, DurabilityUnknown, VersionConflict

from .test_write_back import Profile, Rig

PLACES = ["sqlite-journal", "sqlite-sql-journal", "postgresql-sql-journal"]


class Journaled(Rig):
    """With a journal."""

    def __init__(self, place: str, request: Any, server: Any, folder: Path) -> None:
        name, _, self.mode = place.partition("-")
        self.folder = folder / "journal"
        self.folder.mkdir()
        super().__init__(server, engines_of(name, request, folder))
        self.cache.subscribe(self.heard)

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.plain.dispose()

    def another(self, *, local: bool = False, **options: Any) -> Any:
        """As another process has it."""
        given = FileJournal(self.folder, unsafe_place=True) if self.mode == "journal" else SqlJournal(self.engine)
        return super().another(local=local, **{"durability": self.mode, "journal": given, **options})

    def heard(self, event: Any) -> None:
        """Events of the cache."""
        self.events = [*getattr(self, "events", []), event]

    def emptied(self) -> None:
        """The server has nothing of this cache any more."""
        with self.server.primary.client() as client:
            for key in client.scan_iter(f"*{self.called}*", count=1000):
                client.delete(key)

    def dies(self, cache: Any) -> None:
        """As at a kill: nothing is settled, locks are free."""
        journaling = cache.back._parts.journaling
        journaling._supervisor.stop()
        journaling._runs = False
        if self.mode == "journal":
            journaling.journal._disk.close()
            journaling.journal.renew()


@pytest.fixture(params=PLACES)
def rig(request: Any, redis_server: Any, tmp_path: Path) -> Iterator[Journaled]:
    """Of each kind."""
    with Journaled(request.param, request, redis_server, tmp_path) as made:
        yield made


@pytest.mark.parametrize("name", ["mariadb", "mysql"])
def test_a_table_of_each_server_keeps_a_journal(name: str, request: Any, redis_server: Any, tmp_path: Path) -> None:
    """A row a put; none when the rows show them."""
    with Journaled(f"{name}-sql-journal", request, redis_server, tmp_path) as rig:
        last = rig.cache.put("a", Profile("ada", 1))
        rig.emptied()
        assert (rig.cache.flush()).clean
        assert rig.row("a") == ("ada", 1, last.version)
        assert rig.cache.back._parts.journaling.journal.size() == (0, 0)


def test_what_an_emptied_server_lost_comes_back(rig: Journaled) -> None:
    """A value, an overwrite, a delete: each row shows the last put."""
    receipt = rig.cache.put("a", Profile("ada", 1))
    assert receipt.durable_in.startswith(rig.mode)
    rig.cache.put("b", Profile("bob", 1))
    rig.cache.flush()
    last = rig.cache.put("a", Profile("ada", 2))
    rig.cache.delete("b")
    rig.emptied()
    assert (rig.cache.flush()).clean
    assert rig.row("a") == ("ada", 2, last.version)
    assert rig.row("b") is None
    assert (rig.cache.get("a"), rig.cache.get("b")) == (Profile("ada", 2), None)
    assert any(isinstance(event, JournalReplayed) for event in rig.events)
    journal = rig.cache.back._parts.journaling.journal
    assert (journal.size())[0] == 0, "what the rows show is not needed"


def test_what_is_replayed_is_never_older_than_what_was_flushed(rig: Journaled) -> None:
    """Readers see no value again that a later one has replaced."""
    old = rig.cache.put("a", Profile("ada", 1))
    rig.dies(rig.cache)
    rig.emptied()
    rig.set_row("a", "later", old.version + 1)
    other = rig.another()
    assert (other.flush()).clean
    assert other.get("a") == Profile("later", 1)
    assert rig.row("a") == ("later", 1, old.version + 1)
    other.close()


def test_another_process_replays_what_one_that_died_left_behind(rig: Journaled) -> None:
    """Values that stand nowhere else."""
    for number in range(130):
        rig.cache.put(f"k{number % 110}", Profile("ada", number))
    rig.dies(rig.cache)
    rig.emptied()
    other = rig.another()
    assert (other.flush(timeout=60)).clean
    for number in range(20, 130):
        assert (rig.row(f"k{number % 110}") or ())[:2] == ("ada", number)
    if rig.mode == "journal":
        assert len(list(rig.folder.iterdir())) == 1, "what was taken over is deleted"
    other.close()
    if rig.mode == "journal":
        assert not list(rig.folder.iterdir()), "what is not needed is deleted"


def test_a_put_that_was_refused_is_not_replayed(rig: Journaled) -> None:
    """Its condition did not hold at the put: another came between, after the record was written."""
    first = rig.cache.put("a", Profile("ada", 1))
    buffer, other = rig.cache.back._parts.buffer, rig.another()
    real = buffer._written

    def between(journal: Any, note: Any, put: Any) -> None:
        real(journal, note, put)
        buffer._written = real
        other.put("a", Profile("bob", 2))

    buffer._written = between
    with pytest.raises(VersionConflict):
        rig.cache.put("a", Profile("eve", 3), if_version=first.version)
    buffer._written = between
    last = rig.cache.put("a", Profile("eve", 4))  # a plain put is done after the other
    assert other.get("a") == Profile("eve", 4)
    rig.emptied()
    assert (rig.cache.flush()).clean
    assert (other.flush()).clean
    assert rig.row("a") == ("eve", 4, last.version)
    other.close()


class Frozen(Exception):
    """A process that goes no further."""


def test_a_refused_put_is_taken_back_although_its_version_is_the_latest(rig: Journaled) -> None:
    """What came between had reserved a version before it. The caller was told that nothing was put."""
    first = rig.cache.put("a", Profile("ada", 1))
    buffer, other = rig.cache.back._parts.buffer, rig.another()
    other.put("x", Profile("bob", 0))
    late = other.back._parts.buffer
    answer, written, reserved = late._answer, buffer._written, list[Any]()

    def reserves(put: Any, words: Any) -> Any:
        given, _ = answer(put, words)
        reserved.append((put, [*words[:-2], text_of(given.version), given.stamp]))
        raise Frozen

    def between(journal: Any, note: Any, put: Any) -> None:
        written(journal, note, put)
        given, _ = answer(*reserved[0])
        assert (given.answer, given.version < note.version) == (Answer.DONE, True)

    late._answer, buffer._written = reserves, between
    with pytest.raises(Frozen):
        other.put("a", Profile("bob", 2))
    with pytest.raises(VersionConflict):
        rig.cache.put("a", Profile("eve", 3), if_version=first.version)
    assert rig.cache.get("a") == Profile("bob", 2)
    rig.emptied()
    assert (rig.cache.flush()).clean
    assert (rig.row("a") or ())[:1] == ("ada",)
    other.close()


def test_a_conditional_record_whose_put_never_came_is_not_replayed_over_another_put(rig: Journaled) -> None:
    """The process died before it could take it back."""
    first = rig.cache.put("a", Profile("ada", 1))
    buffer, other = rig.cache.back._parts.buffer, rig.another()
    rig.cache.back._parts.journaling._supervisor.stop()
    real = buffer._answer

    def reserves_late(put: Any, words: Any) -> Any:
        if words[-2] == "r":
            return real(put, words)
        raise DurabilityUnknown("it died here")

    buffer._answer = reserves_late
    other.put("x", Profile("bob", 0))
    with pytest.raises(DurabilityUnknown):
        rig.cache.put("a", Profile("eve", 3), if_version=first.version)
    rig.dies(rig.cache)
    record = _only(rig, "eve") if rig.mode == "sql-journal" else None
    assert record is None or record.expected == first.version
    rig.set_row("a", "bob", first.version + 1)  # a put that was reserved before it
    rig.emptied()
    assert (other.flush()).clean
    assert (rig.row("a") or ())[:1] == ("bob",)
    other.close()


def _only(rig: Journaled, name: str) -> Any:
    notes = rig.cache.back._parts.journaling.journal.unsettled(0, 100)
    return next(note for note in notes if name.encode() in note.record)


def test_a_value_that_the_table_refuses_is_parked_after_a_replay(rig: Journaled) -> None:
    """It stays in the journal as long as it stands aside."""
    rig.cache.put("a", Profile(None, 1))
    rig.cache.put("b", Profile("bob", 1))
    rig.emptied()
    assert (rig.cache.flush(timeout=30)).parked == 1
    assert (rig.row("b") or ())[:1] == ("bob",)
    [parked] = rig.cache.parked()
    assert (parked.key, parked.value) == ("a", Profile(None, 1))
    assert (rig.cache.back._parts.journaling.journal.size())[0] == 1
    rig.emptied()
    assert (rig.cache.flush(timeout=30)).parked == 1
    rig.cache.discard("a")
    rig.cache.flush()
    assert (rig.cache.back._parts.journaling.journal.size())[0] == 0


def test_while_the_sink_is_down_nothing_of_the_journal_is_forgotten(
    rig: Journaled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a flush says that it is not clean."""

    def down(*_: Any) -> Any:
        raise SinkDown("stopped")

    rig.cache.put("a", Profile("ada", 1))
    with monkeypatch.context() as stopped:
        stopped.setattr(rig.cache.strategy.sink, "flush", down)
        rig.emptied()
        assert not (rig.cache.flush(timeout=0.5)).clean
    assert (rig.cache.flush(timeout=30)).clean
    assert (rig.row("a") or ())[:1] == ("ada",)


def test_a_journal_that_takes_nothing_is_backpressure(rig: Journaled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was put; where the record may stand there, that is said."""
    rig.cache.put("a", Profile("ada", 1))
    journal = rig.cache.back._parts.journaling.journal
    for sent, kind in ((False, Backpressure), (True, DurabilityUnknown)):

        def broken(*_: Any, sent: bool = sent) -> None:
            raise JournalBroken("no disk", sent=sent)

        with monkeypatch.context() as patched:
            patched.setattr(journal, "write", broken)
            with pytest.raises(kind, match="journal"):
                rig.cache.put("a", Profile("ada", 2))
        assert rig.cache.get("a") == Profile("ada", 1)
    assert (rig.cache.put("a", Profile("ada", 3))).version > 0


def test_a_full_journal_is_backpressure(rig: Journaled) -> None:
    """Until what it holds is written."""
    rig.cache.put("a", Profile("ada", 1))
    of = rig.cache.back._parts.journaling.journal._of
    name, bound = ("max_bytes", of.max_bytes) if rig.mode == "journal" else ("max_rows", of.max_rows)
    object.__setattr__(of, name, 1)
    with pytest.raises(Backpressure, match="journal"):
        for _ in range(3):
            rig.cache.put("b", Profile("bob", 1))
    object.__setattr__(of, name, bound)
    rig.cache.put("b", Profile("bob", 1))


@pytest.fixture
def filed(request: Any, redis_server: Any, tmp_path: Path) -> Iterator[Journaled]:
    """In files."""
    with Journaled(PLACES[0], request, redis_server, tmp_path) as made:
        yield made


def test_a_damaged_file_is_refused_by_its_name(filed: Journaled) -> None:
    """Before the first put; once it is out of the way, puts go on. A running process names it and goes on."""
    for number in range(3):
        filed.cache.put(f"k{number}", Profile("ada", number))
    filed.dies(filed.cache)
    [path] = filed.folder.glob("*/*.rkj")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    other = filed.another()
    with pytest.raises(ConfigurationError, match=path.name):
        other.put("a", Profile("ada", 1))
    with pytest.raises(ConfigurationError, match=path.name):
        other.flusher().start()
    assert path.read_bytes() == bytes(data)
    path.parent.rename(filed.folder / "aside")
    other.put("a", Profile("ada", 1))
    (filed.folder / "aside").rename(path.parent)
    other.subscribe(filed.heard)
    other.back._parts.journaling.settled()
    assert any(isinstance(event, JournalRefused) and path.name in event.why for event in filed.events)
    other.close()


def test_a_sync_that_fails_ends_the_journal(filed: Journaled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is put any more by this process; what it has acknowledged, another one finds."""
    filed.cache.put("a", Profile("ada", 1))

    def fails(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(journal_disk, "sync", fails)
        with pytest.raises(DurabilityUnknown, match="journal"):
            filed.cache.put("a", Profile("ada", 2))
    with pytest.raises(Backpressure, match="journal"):
        filed.cache.put("a", Profile("ada", 3))
    assert filed.cache.get("a") == Profile("ada", 1)
    filed.dies(filed.cache)
    filed.emptied()
    other = filed.another()
    assert (other.flush()).clean
    assert (filed.row("a") or ())[1] in (1, 2)
    other.close()


def test_files_follow_what_is_dirty(filed: Journaled, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is put all the time needs one record; files without one that is needed go."""
    monkeypatch.setattr(journal_disk, "SEGMENT", 2000)
    filed.cache.put("still", Profile("ada", 1))
    for number in range(200):
        filed.cache.put("a", Profile("ada", number))
    journal = filed.cache.back._parts.journaling.journal
    journal.forget([])
    records, size = journal.size()
    assert records == 2
    assert size < 6000, "files that hold nothing stay"
    filed.emptied()
    assert (filed.cache.flush()).clean
    assert [(filed.row(key) or ())[1] for key in ("still", "a")] == [1, 199]


def test_the_background_forgets_what_rows_show(rig: Journaled) -> None:
    """Without anybody who asks."""
    with rig.cache.flusher():
        rig.cache.put("a", Profile("ada", 1))
        for _ in range(200):
            if (rig.cache.back._parts.journaling.journal.size())[0] == 0:
                return
            sleep(0.05)
        raise AssertionError("it stands there still")
