"""A wide-area network between regions on one machine: a network namespace a region, and the distance between them.

For servers that tell clients their own addresses, which a proxy cannot stand in front of (Cassandra, replica sets), and for
the links between the servers themselves. Linux only, as root or with CAP_NET_ADMIN and CAP_SYS_ADMIN; nothing outside the
namespaces is touched, and they are gone with the process. The packets are carried by a child process (wan_carrier.py).

Region number i owns 10.77.i.0/24; each namespace has the addresses of its own region, and a route to all the others.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Wan", "WanUnavailable"]

MOST_REGIONS = 200
MOST_HOSTS = 9
"""Addresses that each region has."""

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_SET_TUN, _TUN_OF_PACKETS = 0x400454CA, 0x1001  # TUNSETIFF; IFF_TUN | IFF_NO_PI
_SET_ADDRESS, _SET_MASK, _SET_FLAGS = 0x8916, 0x891C, 0x8914
_UP = 0x41  # IFF_UP | IFF_RUNNING
_MINE = "/proc/thread-self/ns/net"
_DEVICE = "/dev/net/tun"


class WanUnavailable(RuntimeError):
    """Network namespaces cannot be made here; the message says why."""


class Wan:
    """Regions with a distance between each two; up from its construction, until `close()` or the end of the `with` block.

    Safe to share between threads. At first the distance is nothing.

    Args:
        regions: their names.

    Raises:
        WanUnavailable: not on Linux, without the rights, or without /dev/net/tun.
        ValueError: no region, too many of them, or one twice.
    """

    def __init__(self, regions: Sequence[str]) -> None:
        if not 1 <= len(regions) <= MOST_REGIONS or len(set(regions)) < len(regions):
            raise ValueError(f"regions must be 1 to {MOST_REGIONS} different names; they are {list(regions)!r}")
        self._numbers = {region: number for number, region in enumerate(regions, 1)}
        self._spaces: dict[str, int] = {}
        self._lock = threading.Lock()
        self._closed = False
        devices: dict[int, int] = {}
        try:
            for region, number in self._numbers.items():
                self._spaces[region], devices[number] = _made(number)
            self._orders, self._carrier = _carried(devices)
        except BaseException:
            self._forget_spaces()
            raise
        finally:
            for device in devices.values():
                os.close(device)
        self._answers = self._orders.makefile("rb")

    def address(self, region: str, host: int = 1) -> str:
        """An address in `region`; it has those of host 1 to 9.

        Raises:
            KeyError: there is no such region.
            ValueError: it has no such host.
        """
        if not 1 <= host <= MOST_HOSTS:
            raise ValueError(f"host must be 1 to {MOST_HOSTS}; it is {host}")
        return f"10.77.{self._numbers[region]}.{host}"

    @contextmanager
    def inside(self, region: str) -> Iterator[None]:
        """This thread is in `region` meanwhile: so is each socket made, thread and process started in it, for good.

        It holds for a thread, not for a task: do not await something within. To run asyncio in a region, run the loop within.
        """
        before = os.open(_MINE, os.O_RDONLY)
        try:
            _enter(self._spaces[region])
            yield
        finally:
            _enter(before)
            os.close(before)

    def latency(self, seconds: float, *regions: str) -> None:
        """Delay each packet between any two of `regions` by `seconds` each way: a round trip takes twice that. None: of all."""
        self._order("delay", seconds, regions)

    def cut(self, *regions: str) -> None:
        """Lose each packet between one of `regions` and any other region, without a word. None: between all."""
        self._order("cut", True, regions)

    def heal(self) -> None:
        """End every cut; distances stay."""
        self._order("cut", False, ())

    def close(self) -> None:
        """End the network; whoever is inside of a region is alone from now on. May be called twice."""
        if not self._closed:
            self._closed = True
            self._answers.close()
            self._orders.close()  # its end is what the carrier waits for
            self._carrier.wait(5)
            self._forget_spaces()

    def __enter__(self) -> Self:
        """Return the network."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _order(self, what: str, value: float, regions: Sequence[str]) -> None:
        numbers = [self._numbers[region] for region in regions]
        with self._lock:
            self._orders.sendall(json.dumps([what, value, numbers]).encode() + b"\n")
            if not self._answers.readline():
                raise RuntimeError("The process behind Wan has ended; see its traceback on stderr.")

    def _forget_spaces(self) -> None:
        for space in self._spaces.values():
            os.close(space)
        self._spaces = {}


def _made(number: int) -> tuple[int, int]:
    """A new namespace with the device through which its packets leave, as descriptors of the two."""
    if sys.platform != "linux":
        raise WanUnavailable(f"Network namespaces are Linux's; this is {sys.platform}.")
    before = os.open(_MINE, os.O_RDONLY)
    try:
        _call("unshare", _NEW_NETWORK)
        try:
            space = os.open(_MINE, os.O_RDONLY)
            try:
                return space, _device(number)
            except BaseException:
                os.close(space)
                raise
        finally:
            _enter(before)
    except OSError as error:
        raise WanUnavailable(
            f"No network namespace with a TUN device can be made here: {error}. It takes root, or CAP_NET_ADMIN and "
            f"CAP_SYS_ADMIN, and {_DEVICE}."
        ) from error
    finally:
        os.close(before)


def _device(number: int) -> int:
    """The namespace's way out, with the addresses of the region and the route to all regions."""
    import fcntl  # not on Windows

    device = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(device, _SET_TUN, struct.pack("16sH22x", b"tun0", _TUN_OF_PACKETS))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:

            def tell(request: int, name: str, form: str, value: object) -> None:
                fcntl.ioctl(any_socket, request, struct.pack(f"16s{form}", name.encode(), value))

            tell(_SET_FLAGS, "lo", "H22x", _UP)
            for host in range(1, MOST_HOSTS + 1):
                name, mask = ("tun0", "255.255.0.0") if host == 1 else (f"tun0:{host}", "255.255.255.255")
                tell(_SET_ADDRESS, name, "16s8x", _packed(f"10.77.{number}.{host}"))
                tell(_SET_MASK, name, "16s8x", _packed(mask))
            tell(_SET_FLAGS, "tun0", "H22x", _UP)
    except BaseException:
        os.close(device)
        raise
    return device


def _packed(address: str) -> bytes:
    return struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))


def _enter(space: int) -> None:
    _call("setns", space, _NEW_NETWORK)


def _call(name: str, *args: int) -> None:
    function: Callable[..., int] = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _carried(devices: dict[int, int]) -> tuple[socket.socket, subprocess.Popen[Any]]:
    """The process between the devices, and the socket over which it takes orders; it ends with that."""
    ours, theirs = socket.socketpair()
    script = str(Path(__file__).with_name("wan_carrier.py"))
    with theirs:
        words = [str(theirs.fileno()), *(f"{number}={device}" for number, device in devices.items())]
        carrier = subprocess.Popen(
            [sys.executable, "-I", "-S", script, *words],
            stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno(), *devices.values()], start_new_session=True,
        )  # fmt: skip
    return ours, carrier
