# mypy: disable-error-code="union-attr"
"""A lagging copy, a session that sees its writes, a dead primary: python -m regionkit.demo.quickstart"""

from tempfile import TemporaryDirectory
from time import sleep

from sqlalchemy import text

from regionkit import EVENTUAL, SESSION, RegionKit
from regionkit.embedded import SqliteRegions

with (
    TemporaryDirectory() as path,
    SqliteRegions(path, store="shop", primary="us", replicas=["jp", "kr"]) as r,
    RegionKit(r.topology, local="kr") as kit,
    kit.session() as s,
):
    kit.create_tables()
    with s.write("shop") as db:  # goes to us
        db.execute(text("CREATE TABLE item (name TEXT)"))
    sleep(0.5)
    r.lag = 0.5  # seconds until a copy arrives
    with s.write("shop") as db:
        db.execute(text("INSERT INTO item VALUES ('tea')"))
    for level in (EVENTUAL, SESSION):
        with s.read("shop", consistency=level) as db:
            rows = db.execute(text("SELECT name FROM item")).all()
            print(level, "reads", rows, "in", s.last_route.region)
    sleep(1.0)
    r.kill("us")
    r.promote("jp")
    sleep(1.5)  # the kit looks once a second
    with s.write("shop") as db:
        db.execute(text("INSERT INTO item VALUES ('rice')"))
    print("a write went to", s.last_route.region)
