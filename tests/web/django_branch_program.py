"""What Django's ORM does in a branch; run by a test in a process of its own, as Django's settings are one a process.

    python django_branch_program.py '{"django": url, "bank": url}' [case ...]

Not a test.
"""

from __future__ import annotations

import datetime
import decimal
import gc
import json
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings
from sqlalchemy import create_engine, text

from regionkit.errors import ConfigurationError, HeuristicOutcome, TransactionAborted, UsageError
from regionkit.transactions import PostgresParticipant, SqlDecisionLog, SqliteParticipant, TransactionManager
from regionkit.web.django_branch import django_branch

URLS = json.loads(sys.argv[1])
IS_SQLITE = URLS["django"].startswith("sqlite")


def database() -> dict[str, Any]:
    """In Django's words."""
    if IS_SQLITE:
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": URLS["django"].removeprefix("sqlite:///")}
    parts = urlsplit(URLS["django"])
    named = {"NAME": parts.path[1:], "HOST": parts.hostname, "PORT": parts.port, "USER": parts.username}
    zone = {"TIME_ZONE": "Asia/Tokyo"}  # Django sets it on its own connection, and reads values as if they were of it
    return {"ENGINE": "django.db.backends.postgresql", "PASSWORD": parts.password or "", **named, **zone}


settings.configure(
    DATABASES={"default": {}, "shop": database()}, USE_TZ=True, TIME_ZONE="Asia/Seoul", INSTALLED_APPS=[]
)
django.setup()

from django.db import Error, IntegrityError, close_old_connections, connections, models, transaction  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402


class Shop(models.Model):
    """Orders have one."""

    name = models.CharField(max_length=20, unique=True)

    class Meta:
        app_label = "shop"


class Order(models.Model):
    """Of columns that drivers and Django translate."""

    shop = models.ForeignKey(Shop, models.CASCADE)
    told = models.JSONField()
    at = models.DateTimeField()
    day = models.DateField()
    price = models.DecimalField(max_digits=10, decimal_places=2)
    key = models.UUIDField()
    paid = models.BooleanField()
    blob = models.BinaryField()

    class Meta:
        app_label = "shop"


AT = datetime.datetime(2026, 11, 30, 9, 30, tzinfo=datetime.UTC)
VALUES: dict[str, Any] = {
    "told": {"tea": [1, None, "\N{SNOWMAN}"]},
    "at": AT,
    "day": AT.date(),
    "price": decimal.Decimal("12.30"),
    "key": uuid.UUID(int=7),
    "paid": True,
    "blob": b"\0\xff",
}
with connections["shop"].schema_editor() as editor:
    editor.create_model(Shop)
    editor.create_model(Order)
bank, shop = create_engine(URLS["bank"]), create_engine(URLS["django"])
with bank.begin() as db:
    db.execute(text("CREATE TABLE moved (id int PRIMARY KEY)"))
unsafe: Any = {"namespace": "shop", "unsafe_no_flush": True}
made: Any = (
    SqliteParticipant("shop", shop, foreign_keys=True, **unsafe)
    if IS_SQLITE
    else PostgresParticipant("shop", shop, **unsafe)
)
tm = TransactionManager(
    namespace="shop",
    log=SqlDecisionLog(shop if IS_SQLITE else bank, unsafe_async_replica=True),
    participants={"shop": made, "bank": PostgresParticipant("bank", bank, **unsafe)},
)
tm.create_tables()
Shops, Orders = Shop.objects.using("shop"), Order.objects.using("shop")


def moved(tx: Any, id: int) -> None:
    """A row by SQLAlchemy, in the other database."""
    tx.session("bank").execute(text("INSERT INTO moved VALUES (:id)"), {"id": id})


def state() -> tuple[list[str], list[int]]:
    """What is committed in both."""
    with bank.connect() as db:
        rows = [row[0] for row in db.execute(text("SELECT id FROM moved ORDER BY id"))]
    return sorted(Shops.all().values_list("name", flat=True)), rows


def both_commit() -> None:
    """The ORM's rows and SQLAlchemy's; Django's own connection is the same afterwards, and idle."""
    own = connections["shop"]
    own.ensure_connection()
    before, done = own.connection, list[int]()
    with own.cursor() as cursor:
        kind = type(cursor.cursor)
    with tm.begin() as tx:
        with django_branch(tx, "shop", using="shop"):
            with connections["shop"].cursor() as cursor:
                assert isinstance(cursor.cursor, kind)  # not the driver's own: it binds on the client
            tea = Shops.create(name="tea")
            made = Orders.create(shop=tea, **VALUES)
            transaction.on_commit(lambda: done.append(1), using="shop")
            found = Orders.get(shop__name__startswith="t", at__year=2026, at__hour=18, told__tea__0=1)
            assert {name: getattr(found, name) for name in VALUES} | {"blob": bytes(found.blob)} == VALUES
            assert [one.pk for one in Orders.all().iterator(chunk_size=1)] == [made.pk]
            assert Shops.filter(name__regex="^T|t").count() == 1
            assert Order.objects.using("shop").select_related("shop").get().shop.name == "tea"
        assert state() == ([], [])  # Django's own connection
        moved(tx, 1)
        with django_branch(tx, "shop", using="shop"):
            Shops.filter(name="tea").update(name="green tea")
            Shops.bulk_create([Shop(name="milk"), Shop(name="salt")])
            rest = Shops.all().iterator(chunk_size=1)
            if not IS_SQLITE:
                next(rest)  # a cursor of the server's that is still open: WITH HOLD could not be prepared
    rest.close()
    assert state() == (["green tea", "milk", "salt"], [1])
    assert done == [1]
    assert connections["shop"] is own and own.connection is before
    assert (own.in_atomic_block, own.autocommit, own.savepoint_ids, own.run_on_commit) == (False, True, [], [])
    with transaction.atomic(using="shop"):
        Shops.create(name="own")
    found = Orders.get()
    assert found.at == AT and found.at.tzinfo is not None


def who_watches_django_s_connection_sees_the_branch() -> None:
    """Execute wrappers (tracers have one), and the log of queries that assertNumQueries counts."""
    seen = []

    def noted(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    own = connections["shop"]
    with own.execute_wrapper(noted), CaptureQueriesContext(own) as captured:
        with tm.begin() as tx, django_branch(tx, "shop", using="shop"):
            Shops.create(name="tea")
            moved(tx, 1)
    assert [sql for sql in seen if sql.startswith("INSERT")]
    assert [one for one in captured.captured_queries if one["sql"].startswith("INSERT")]


def an_error_undoes_both() -> None:
    """As it is; no hook runs."""
    done: list[int] = []
    for inside in (True, False):
        try:
            with tm.begin() as tx:
                moved(tx, 1)
                with django_branch(tx, "shop", using="shop"):
                    Shops.create(name="tea")
                    transaction.on_commit(lambda: done.append(1), using="shop")
                    if inside:
                        raise LookupError("mine")
                raise LookupError("mine")
        except LookupError as error:
            assert str(error) == "mine"
        assert state() == ([], []) and connections["shop"].run_on_commit == []
    assert done == []
    assert not connections["shop"].in_atomic_block


def an_error_that_is_caught_dooms() -> None:
    """What left the block, and what Django has marked."""

    def left(tx: Any) -> None:
        try:
            with django_branch(tx, "shop", using="shop"):
                Shops.create(name="tea")
                raise LookupError
        except LookupError:
            pass

    def marked(tx: Any) -> None:
        with django_branch(tx, "shop", using="shop"):
            Shops.create(name="tea")
            try:
                Shops.create(name="tea")
            except IntegrityError:
                pass

    def foreign(tx: Any) -> None:
        with django_branch(tx, "shop", using="shop"):
            Orders.create(shop_id=77, **VALUES)

    for spoil, why in ((left, "LookupError left"), (marked, "marked 'shop' for rollback"), (foreign, "")):
        try:
            with tm.begin() as tx:
                moved(tx, 1)
                spoil(tx)
        except TransactionAborted as error:
            assert why in str(error), error
        else:
            raise AssertionError(spoil)
        assert state() == ([], [])


def atomic_is_a_savepoint() -> None:
    """What it raises undoes itself; a durable one, and Django's own ends, are refused."""
    with tm.begin() as tx, django_branch(tx, "shop", using="shop"):
        Shops.create(name="tea")
        with transaction.atomic(using="shop"):
            Shops.create(name="milk")
        try:
            with transaction.atomic(using="shop"):
                Shops.create(name="salt")
                Shops.create(name="tea")
        except IntegrityError:
            pass
        own: list[Callable[[], Any]] = [
            lambda: transaction.commit(using="shop"),
            lambda: transaction.rollback(using="shop"),
            lambda: transaction.set_autocommit(True, using="shop"),
            lambda: transaction.atomic(using="shop", durable=True).__enter__(),
            lambda: connections["shop"].close(),
            close_old_connections,
        ]
        if not IS_SQLITE:
            own += [connections["shop"].connection.commit, connections["shop"].connection.close]
        for end in own:
            try:
                end()
            except (transaction.TransactionManagementError, RuntimeError, UsageError):
                continue
            raise AssertionError(end)
        assert Shops.count() == 2
        moved(tx, 1)
    assert state() == (["milk", "tea"], [1])


def what_ends_the_transaction_by_text_is_seen() -> None:
    """On Django's own cursor, past regionkit and SQLAlchemy; what was committed by it is a hazard."""
    for texts in (["ROLLBACK"], ["COMMIT", "BEGIN"]):
        try:
            with tm.begin() as tx, django_branch(tx, "shop", using="shop"):
                Shops.create(name="tea")
                moved(tx, 1)
                with connections["shop"].cursor() as cursor:
                    for ending in texts:
                        cursor.execute(ending)
        except (HeuristicOutcome, TransactionAborted) as error:
            assert "ended its transaction" in str(error), error
        else:
            raise AssertionError(texts)
        assert state()[1] == []


def threads_have_their_own() -> None:
    """Another thread sees Django's own connection, and what is committed; many transactions at once are each whole."""
    errors: list[BaseException] = []

    def noted(work: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                errors.append(error)
            finally:
                connections.close_all()

        return run

    def outside() -> None:
        assert not connections["shop"].in_atomic_block
        assert Shops.count() == 0

    with tm.begin() as tx, django_branch(tx, "shop", using="shop"):
        Shops.create(name="mine")
        moved(tx, 100)
        other = threading.Thread(target=noted(outside))
        other.start()
        other.join()

    def one(number: int) -> None:
        try:
            with tm.begin(timeout=30) as tx:
                with django_branch(tx, "shop", using="shop"):
                    Shops.create(name=f"{number:02}")
                moved(tx, number)
                if number % 3 == 0:
                    raise LookupError
        except LookupError:
            pass

    threads = [threading.Thread(target=noted(lambda number=number: one(number))) for number in range(12)]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [], errors
    names, rows = state()
    assert names == [*(f"{number:02}" for number in range(12) if number % 3), "mine"], names
    assert rows == [*(number for number in range(12) if number % 3), 100]


def what_is_kept_is_closed() -> None:
    """A wrapper, or a cursor of it, would write on a connection that serves others by then."""
    with tm.begin() as tx:
        with django_branch(tx, "shop", using="shop"):
            Shops.create(name="tea")
            kept = connections["shop"]
            cursor = kept.cursor()
            cursor.execute("SELECT 1")
        assert connections["shop"] is not kept
        moved(tx, 1)
        used: list[Callable[[], Any]] = [kept.cursor, kept.ensure_connection]
        if not IS_SQLITE:
            used.append(lambda: cursor.execute("SELECT 1"))
        for use in used:
            try:
                use()
            except Error:
                continue
            raise AssertionError(use)
    try:
        cursor.execute("SELECT 1")
    except Error:
        pass
    else:
        raise AssertionError("a cursor outlives its branch")
    assert state() == (["tea"], [1])


def hooks_leave_no_connection() -> None:
    """One that uses the ORM runs in a thread of the coordinator's."""
    seen = []
    with tm.begin() as tx, django_branch(tx, "shop", using="shop"):
        Shops.create(name="tea")
        moved(tx, 1)
        transaction.on_commit(
            lambda: seen.append((threading.get_ident(), connections["shop"], Shops.count())), using="shop"
        )
    end = time.monotonic() + 10
    while not seen and time.monotonic() < end:
        time.sleep(0.01)
    [(thread, wrapper, count)] = seen
    assert count == 1
    while wrapper.connection is not None and thread != threading.get_ident() and time.monotonic() < end:
        time.sleep(0.01)
    assert wrapper.connection is None
    gc.collect()  # warnings of connections that nobody closed are errors here


def what_cannot_be_is_refused() -> None:
    """Django's own transaction; an asyncio transaction; foreign keys that would not be looked at."""

    def refused(work: Callable[[], Any], error: type[Exception], why: str) -> None:
        try:
            work()
        except error as found:
            assert why in str(found), found
            return
        raise AssertionError(why)

    def in_atomic() -> None:
        with transaction.atomic(using="shop"), tm.begin() as tx, django_branch(tx, "shop", using="shop"):
            pass

    def enter(tx: Any) -> None:
        with django_branch(tx, "shop", using="shop"):
            pass

    refused(in_atomic, UsageError, "has a transaction open on 'shop'")
    refused(lambda: enter(object()), ConfigurationError, "is no Transaction")
    if IS_SQLITE:
        plain = TransactionManager(namespace="shop", log=SqlDecisionLog(shop), participants={"shop": shop})

        def without() -> None:
            with plain.begin() as tx:
                enter(tx)

        refused(without, ConfigurationError, "does not enforce foreign keys")
        plain.close()

    def twice() -> None:
        with tm.begin() as tx, django_branch(tx, "shop", using="shop"):
            enter(tx)

    refused(twice, UsageError, "is a branch already")
    assert not connections["shop"].in_atomic_block and state() == ([], [])


CASES = [
    both_commit,
    who_watches_django_s_connection_sees_the_branch,
    an_error_undoes_both,
    an_error_that_is_caught_dooms,
    atomic_is_a_savepoint,
    what_ends_the_transaction_by_text_is_seen,
    threads_have_their_own,
    what_is_kept_is_closed,
    hooks_leave_no_connection,
    what_cannot_be_is_refused,
]
for case in CASES:
    if not sys.argv[2:] or case.__name__ in sys.argv[2:]:
        case()
        Orders.all().delete()
        Shops.all().delete()
        with bank.begin() as db:
            db.execute(text("DELETE FROM moved"))
        print(case.__name__, flush=True)
left = [one for one in tm.in_doubt() if not one.hazards]
tm.close()
connections.close_all()
for engine in (bank, shop):
    engine.dispose()
print("done", left)
