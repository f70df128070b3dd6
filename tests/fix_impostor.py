"""Somebody in a server's place, or on the way to it: what TLS it offers, and all that was said to it, in clear and inside of TLS.

Certificates are of an authority that the tests make, for "localhost".
"""

from __future__ import annotations

import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from fix_servers import absent

CLIENT_SSL = 0x800
PATIENCE = 20.0
"""Seconds after which it hangs up on a client that says nothing."""


class Certificates(NamedTuple):
    """By name: certificate and key in one file; and the authority that vouches for all but the foreign one."""

    folder: Path

    @property
    def authority(self) -> Path:
        """What clients are told to trust."""
        return self.folder / "authority.crt"

    def path(self, name: str) -> Path:
        """Certificate and key: "good", "host" (another one's), "expired", "foreign" (of an authority that nobody trusts)."""
        return self.folder / f"{name}.pem"


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Made once."""
    if shutil.which("openssl") is None:
        absent("no openssl: apt-get install openssl")
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("authority", "stranger", "good", "host", "expired", "foreign"):
        _openssl(folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
    for name in ("authority", "stranger"):
        subject = ("-subj", f"/CN=regionkit-test-{name}", "-days", "2", "-out", f"{name}.crt")
        _openssl(folder, "req", "-x509", "-new", "-key", f"{name}.key", *subject)
    for name in ("good", "host", "expired", "foreign"):
        (folder / "names").write_text(f"subjectAltName=DNS:{'orders.example' if name == 'host' else 'localhost'}\n")
        by = "stranger" if name == "foreign" else "authority"
        _openssl(folder, "req", "-new", "-key", f"{name}.key", "-subj", "/CN=regionkit-test", "-out", "asked.csr")
        signing = ("-CA", f"{by}.crt", "-CAkey", f"{by}.key", "-CAcreateserial", "-extfile", "names")
        days = ("-days", "-1" if name == "expired" else "2")
        _openssl(folder, "x509", "-req", "-in", "asked.csr", *signing, *days, "-out", f"{name}.crt")
        texts = (folder / f"{name}.{part}" for part in ("crt", "key"))
        (folder / f"{name}.pem").write_text("".join(path.read_text() for path in texts))
    return Certificates(folder)


class Impostor:
    """Answers in a server's place up to the account, and says no more.

    Args:
        server: whose words it has.
        certificate: what it shows; None: it says that it has no TLS.
    """

    def __init__(self, server: str, certificate: Path | None) -> None:
        self._server = server
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self.clear: list[bytes] = []
        self.inside: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._meet, args=(client,), daemon=True).start()

    def _meet(self, client: socket.socket) -> None:
        client.settimeout(PATIENCE)
        try:
            with client:
                asked = self._asks_for_tls(client)
                if self._tls is None or not asked:
                    self._listen(client, self.clear)
                    return
                with self._tls.wrap_socket(client, server_side=True) as wrapped:
                    self._listen(wrapped, self.inside)
        except OSError:  # it hung up
            pass

    def _asks_for_tls(self, client: socket.socket) -> bool:
        """Speak up to the point where TLS begins; whether the client asked for it."""
        if self._server == "postgresql":
            said = client.recv(8)
            client.sendall(b"N" if self._tls is None else b"S")
        elif self._server == "mariadb":
            body = _greeting(offers=self._tls is not None)
            client.sendall(struct.pack("<I", len(body))[:3] + b"\0" + body)
            said = client.recv(36)
            while said and len(said) < 8 and (more := client.recv(36)):  # what is sent at once may come in pieces
                said += more
            if len(said) < 8 or not struct.unpack("<I", said[4:8])[0] & CLIENT_SSL:
                self.clear.append(said)
                return False
        else:
            return True  # TLS comes first
        self.clear.append(said)
        return bool(said)

    def _listen(self, client: socket.socket, heard: list[bytes]) -> None:
        """Take what comes; a server that knows no TLS would not understand it either."""
        said = client.recv(65_536)
        if said:
            heard.append(said)

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()


def _greeting(*, offers: bool) -> bytes:
    """A MariaDB's first words, which ask for the password in clear."""
    can = 0xFFFFFFFF if offers else 0xFFFFFFFF & ~CLIENT_SSL
    body = b"\x0a11.4.2-MariaDB\0" + struct.pack("<I", 1) + b"12345678\0" + struct.pack("<H", can & 0xFFFF)
    body += b"\x2d" + struct.pack("<H", 2) + struct.pack("<H", can >> 16) + b"\x15" + bytes(10) + b"123456789012\0"
    return body + b"mysql_clear_password\0"


@pytest.fixture
def impostors() -> Iterator[list[Impostor]]:
    """Those of this test; closed after it."""
    made: list[Impostor] = []
    yield made
    for each in made:
        each.close()
