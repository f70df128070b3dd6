# Generated from test_tls_stripped_async.py by scripts/twins.py. Do not edit.
"""Somebody on the way says that the server has no TLS: not a letter of the account is sent. Both drivers would go on in clear."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from fix_rigs import NAMESPACE

from regionkit import EVENTUAL, Endpoint, Region, RegionKit, RegionUnavailable, Role, SqlStore, Topology
from regionkit.core.concurrency import sleep

PASSWORD = "Tr0ub4dor"
CLIENT_SSL = 0x800


class Stripper:
    """A MariaDB's greeting without TLS, which asks for the password in clear; what was said to it."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        """Until the listener is closed."""
        can = 0xFFFFFFFF & ~CLIENT_SSL
        body = b"\x0a11.4.2-MariaDB\0" + struct.pack("<I", 1) + b"12345678\0" + struct.pack("<H", can & 0xFFFF)
        body += b"\x2d" + struct.pack("<H", 2) + struct.pack("<H", can >> 16) + b"\x15" + bytes(10) + b"123456789012\0"
        body += b"mysql_clear_password\0"
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                client.settimeout(5)
                client.sendall(struct.pack("<I", len(body))[:3] + b"\0" + body)
                self.heard.append(client.recv(4096))


@pytest.fixture
def stripper() -> Iterator[Stripper]:
    """It listens."""
    made = Stripper()
    yield made
    made.listener.close()


@pytest.mark.parametrize("how", ["endpoint", "url"])
def test_nothing_is_said_to_it(stripper: Stripper, how: str) -> None:
    """The error says that TLS failed; a plain server would have had the password."""
    url = f"mariadb://app:{PASSWORD}@127.0.0.1:{stripper.port}/shop" + ("?ssl=true" if how == "url" else "")
    endpoint = Endpoint("eu-west-1", Role.PRIMARY, url, tls="require" if how == "endpoint" else None)
    store = SqlStore("orders", endpoints=[endpoint])
    topology = Topology(namespace=NAMESPACE, regions=[Region("eu-west-1")], stores=[store])
    with RegionKit(topology, local="eu-west-1") as kit, kit.session() as s:
        with pytest.raises(RegionUnavailable, match="TLS"):
            with s.read("orders", core=True, consistency=EVENTUAL, timeout=2) as db:
                db.exec_driver_sql("SELECT 1")
    for _ in range(500):
        if stripper.heard:
            break
        sleep(0.01)
    assert stripper.heard
    assert not any(PASSWORD.encode() in said or b"app" in said for said in stripper.heard)
