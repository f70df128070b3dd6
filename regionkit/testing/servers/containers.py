"""One server in a Docker container, through testcontainers. Single nodes only.

The published port is chosen here, because Docker would publish another one after each restart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from regionkit.testing.servers.process import ServerStartError, free_port

_START_TIMEOUT = 90.0


class Container:
    """The lifecycle of a server in a container of `image`, with the methods of `process.Lifecycle`."""

    def __init__(self, image: str, port: int, environment: Mapping[str, str], command: Sequence[str]) -> None:
        from testcontainers.core.container import DockerContainer

        self.port = free_port()
        self._image = image
        container = DockerContainer(image).with_bind_ports(port, self.port).with_command(list(command))
        for name, value in environment.items():
            container = container.with_env(name, value)
        self._container: Any = container.start()
        self.host: str = self._container.get_container_host_ip()
        self.frozen = False

    @property
    def _engine(self) -> Any:
        container = self._container.get_wrapped_container()
        container.reload()
        return container

    @property
    def alive(self) -> bool:
        """Whether the container runs; a paused one does."""
        return self._engine.status in ("running", "paused")

    def start(self, ready: Callable[[], bool]) -> None:
        """Start the container if it does not run, and return once `ready()` is true.

        Raises:
            ServerStartError: It ended, or was not ready in time.
        """
        if not self.alive:
            self._engine.start()
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            try:
                if ready():
                    return
            except Exception as error:  # each driver has errors of its own for "not listening yet"
                if time.monotonic() > deadline:
                    log = self._engine.logs(tail=60).decode(errors="replace")[-3000:]
                    raise ServerStartError(self._image, f"was not ready in time ({error})", log) from error
            time.sleep(0.05)

    def stop(self) -> None:
        """Shut the server down in order."""
        self.thaw()
        self._engine.stop(timeout=20)

    def kill(self) -> None:
        """SIGKILL everything in the container; its file system stays."""
        if self.alive:
            self._engine.kill()
        self.frozen = False

    def freeze(self) -> None:
        """Freeze all processes of the container."""
        self._engine.pause()
        self.frozen = True

    def thaw(self) -> None:
        """Let a frozen container go on."""
        if self.frozen:
            self._engine.unpause()
        self.frozen = False

    def close(self) -> None:
        """Remove the container."""
        self._container.stop()
