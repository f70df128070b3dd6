"""What is described in a way that works and is not safe: told when the kit is made, and by explain. Needs no server."""

from __future__ import annotations

import logging

import pytest

from regionkit import MongoStore, Region, RegionKit, Topology


def test_hosts_without_the_name_of_their_set_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """Once a kit, as a warning; the password is not shown. With the name there is nothing to tell."""
    for query, told in (("", 1), ("?replicaSet=rs0", 0)):
        caplog.clear()
        store = MongoStore("orders", url=f"mongodb://app:s3cr3t-word@m1.example,m2.example/shop{query}")
        with RegionKit(Topology("shop", regions=[Region("us")], stores=[store]), local="us") as kit:
            notes = [note for note in kit.explain("orders").guarantees if "no replicaSet=" in note]
        logged = [
            r.getMessage() for r in caplog.records if r.name == "regionkit.topology" and r.levelno == logging.WARNING
        ]
        assert len(notes) == len(logged) == told
        assert all("'orders'" in text and "s3cr3t" not in text for text in logged)
