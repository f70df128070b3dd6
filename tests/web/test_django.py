"""The Django router: what it refuses, and the ORM on a real primary with a replica that is held. Django's settings are one a
process: what needs them runs in another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fix_rigs import make_tables

from regionkit import ConfigurationError, RegionKit
from regionkit.embedded import MemoryRegions
from regionkit.web.django import RegionKitRouter

KEY = "a key of more than sixteen characters"
BOTH = {"us": "default", "kr": "seoul"}

PROGRAM = """
import json, sys, time
from urllib.parse import urlsplit
import django
from django.conf import settings
from werkzeug.test import Client
from regionkit import Endpoint, Region, RegionKit, Role, SqlStore, Topology
from regionkit.web import Cookie
from regionkit.web.django import RegionKitRouter
from regionkit.web.wsgi import RegionKitMiddleware

urls = json.loads(sys.argv[1])
endpoints = [Endpoint("us", Role.PRIMARY, urls["us"]), Endpoint("kr", Role.REPLICA, urls["kr"])]
store = SqlStore("orders", endpoints=endpoints)
patient = {"base": "gentle", "probe_timeout": 5.0, "read_deadline": 30.0, "write_deadline": 30.0}
kit = RegionKit(Topology("shop", regions=[Region("us"), Region("kr")], stores=[store]), local="kr",
                bookmark_keys=["a key of more than sixteen characters"], profile=patient)
kit.create_tables()

def database(url):
    parts = urlsplit(url)
    return {"ENGINE": "django.db.backends.postgresql", "NAME": parts.path[1:], "HOST": parts.hostname,
            "PORT": parts.port, "USER": parts.username, "PASSWORD": parts.password or ""}

class Urls:
    urlpatterns = []

router = RegionKitRouter(kit, "orders", {"us": "default", "kr": "seoul"}, apps=["shop"])
settings.configure(DATABASES={"default": database(urls["us"]), "seoul": database(urls["kr"])}, USE_TZ=True,
                   DATABASE_ROUTERS=[router], ROOT_URLCONF=Urls, ALLOWED_HOSTS=["shop"], SECRET_KEY="x",
                   DEBUG_PROPAGATE_EXCEPTIONS=True)
django.setup()
from django.core.wsgi import get_wsgi_application
from django.db import models, transaction
from django.http import HttpResponse
from django.urls import path

class Product(models.Model):
    item = models.CharField(max_length=50)
    class Meta:
        app_label, db_table = "shop", "orders"

def place(request, id):
    Product.objects.create(id=id, item="tea")
    return HttpResponse()

def both(request, id):  # in one transaction: its reads stay where its writes are
    with transaction.atomic():
        Product.objects.create(id=id, item="tea")
        found = Product.objects.get(id=id)
    return HttpResponse(found._state.db + " " + Product.objects.get(id=id)._state.db)

def undone(request, id):
    try:
        with transaction.atomic():
            Product.objects.create(id=id, item="tea")
            raise ZeroDivisionError
    except ZeroDivisionError:
        return HttpResponse(str(Product.objects.filter(id=id).count()))

def show(request, id):
    found = Product.objects.filter(id=id).first()
    return HttpResponse(Product.objects.db if found is None else found._state.db)

Urls.urlpatterns += [path(f"{v.__name__}/<int:id>", v) for v in (place, both, undone, show)]
app = RegionKitMiddleware(get_wsgi_application(), kit, cookie=Cookie())

def ask(client, url):
    answer = client.get(url, base_url="https://shop")
    return answer.text, bool(answer.headers.getlist("Set-Cookie"))

user, found = Client(app), {}
ask(user, "/show/1")
print("held", flush=True)  # the replica replays nothing from here on
sys.stdin.readline()
found["placed"] = ask(user, "/place/1")
found["sees its own"] = ask(user, "/show/1")
found["another"] = ask(Client(app), "/show/1")
found["in one transaction"] = ask(user, "/both/2")
found["undone"] = ask(user, "/undone/3")
print("go on", flush=True)
sys.stdin.readline()
end = time.monotonic() + 30
while ask(user, "/show/2")[0] != "seoul" and time.monotonic() < end:
    time.sleep(0.05)
found["caught up"] = ask(user, "/show/2")[0]

async def by_asgi():  # the same views in asgiref's threads, the same kit
    import httpx
    from django.core.asgi import get_asgi_application
    from regionkit.web.asgi import RegionKitMiddleware as Asgi

    transport = httpx.ASGITransport(app=Asgi(get_asgi_application(), kit))
    async with httpx.AsyncClient(transport=transport, base_url="https://shop") as client:
        placed = await client.get("/place/5")
        shown = await client.get("/show/5", headers={"Region-Bookmark": placed.headers["Region-Bookmark"]})
        return shown.text

import asyncio
found["by ASGI"] = asyncio.run(by_asgi())
found["not ours"] = router.db_for_read(type("M", (), {"_meta": type("O", (), {"app_label": "auth"})}))
found["migrates"] = [router.allow_migrate(db, "shop") for db in ("default", "seoul", "other")]
print(json.dumps(found), flush=True)
kit.close()
"""


def test_the_orm_reads_copies_that_have_what_its_user_wrote(pg: Any) -> None:
    """On the owner while the replica is held, on the replica once it has caught up; others read the replica all along."""
    name = pg.database()
    urls = {"us": pg.primary.url_for(name), "kr": pg.replicas[0].url_for(name)}
    make_tables(urls["us"])
    pg.wait_for_replicas()
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(PROGRAM), json.dumps(urls)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdin is not None and child.stdout is not None
        try:
            assert child.stdout.readline() == "held\n"
            pg.wait_for_replicas()
            pg.replicas[0].pause_replay()
            child.stdin.write("\n")
            child.stdin.flush()
            assert child.stdout.readline() == "go on\n"
        finally:
            pg.replicas[0].resume_replay()
        child.stdin.write("\n")
        child.stdin.flush()
        found = json.loads(child.stdout.readline())
    assert found["placed"] == ["", True]
    assert found["sees its own"][0] == "default"
    assert found["another"][0] == "seoul"
    assert found["in one transaction"] == ["default default", True]
    assert found["undone"][0] == "0"
    assert found["caught up"] == "seoul"
    assert found["by ASGI"] in ("default", "seoul")
    assert found["not ours"] is None
    assert found["migrates"] == [True, False, None]


@pytest.fixture
def kit() -> Iterator[RegionKit]:
    with MemoryRegions(store="orders", primary="us", replicas=["kr"]) as regions:
        with RegionKit(regions.topology, local="kr", bookmark_keys=[KEY]) as made:
            yield made


@pytest.mark.parametrize(
    ("store", "databases"),
    [("order", BOTH), ("orders", {"us": "default"}), ("orders", {**BOTH, "eu": "paris"})],
)
def test_names_that_are_none_are_refused(kit: RegionKit, store: str, databases: dict[str, str]) -> None:
    """A store, an endpoint without a database, a region."""
    with pytest.raises(ConfigurationError):
        RegionKitRouter(kit, store, databases)


def test_a_kit_of_another_form_is_refused() -> None:
    """Django's ORM runs in threads."""
    with pytest.raises(ConfigurationError, match="sync"):
        RegionKitRouter("kit", "orders", BOTH)  # type: ignore[arg-type]
