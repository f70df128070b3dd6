"""Self-signed certificates for servers of the tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from fix_servers import absent


def certificate(folder: Path, names: str) -> tuple[Path, Path]:
    """A certificate for `names` (`DNS:localhost`, `IP:127.0.0.1`), and its key."""
    if shutil.which("openssl") is None:
        absent("no openssl: apt-get install openssl")
    cert, key = folder / "server.crt", folder / "server.key"
    subject = ["-subj", "/CN=regionkit-test", "-addext", f"subjectAltName={names}"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-out", str(cert), "-keyout", str(key)], check=True, capture_output=True)
    return cert, key
