"""A Redis server that speaks TLS, with a certificate that nobody trusts by himself."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from fix_certificates import certificate
from fix_servers import absent


def encrypted_redis(own_redis: Any, tmp_path: Path) -> tuple[str, Path]:
    """A server with a certificate for "localhost" that nobody trusts by himself; its URL, and the certificate."""
    cert, key = certificate(tmp_path, "DNS:localhost")
    servers = own_redis(0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with servers.primary.client() as client:
        try:
            for name, value in (("tls-cert-file", cert.read_text()), ("tls-key-file", key.read_text())):
                target = Path(str(client.config_get("dir")["dir"])) / name
                target.write_text(value)
                target.chmod(0o644)
            folder = str(client.config_get("dir")["dir"])
            client.config_set("tls-auth-clients", "no")
            client.execute_command(
                "CONFIG SET", "tls-cert-file", f"{folder}/tls-cert-file", "tls-key-file", f"{folder}/tls-key-file",
                "tls-ca-cert-file", f"{folder}/tls-cert-file", "tls-port", port,
            )  # fmt: skip
        except Exception as error:
            absent(f"this Redis was built without TLS: {error}")
    return f"rediss://localhost:{port}", cert
