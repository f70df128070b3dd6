"""The process behind Wan: takes each packet out of one region's device and puts it into another's when it is due.

Run as a script with the number of an inherited socket, over which orders come as JSON, one a line, each answered once
it holds, and with the devices as NUMBER=DESCRIPTOR. It ends when that socket closes. It imports nothing of regionkit.
"""

from __future__ import annotations

import heapq
import itertools
import json
import os
import select
import socket
import sys
import time

_BATCH = 64  # packets taken from one device before the others have their turn
_LARGEST = 65_535  # bytes of an IP packet
_FULL = 100_000  # packets on the way at once; a network drops what comes on top
_REGION = 18  # which byte of an IPv4 packet is the third of its destination, 10.77.REGION.HOST


class Link:
    """One direction between two regions."""

    __slots__ = ("cut", "delay", "last_due")

    def __init__(self) -> None:
        self.delay = 0.0
        self.cut = False
        self.last_due = 0.0


class Carrier:
    """All links, and the packets that are on their way."""

    def __init__(self, devices: dict[int, int]) -> None:
        self.devices = devices
        self.links = {(a, b): Link() for a in devices for b in devices if a != b}
        self._way: list[tuple[float, int, int, bytes]] = []
        self._order = itertools.count()

    def obey(self, what: str, value: float, numbers: list[int]) -> None:
        """Set the delay between any two of the regions, or the cut between one of them and any other; no number: all."""
        for ends, link in self.links.items():
            named = [end in numbers for end in ends]
            if not numbers or (all(named) if what == "delay" else any(named)):
                setattr(link, what, value)

    def deliver(self) -> float:
        """Hand over what is due; seconds until the next packet is."""
        while self._way:
            left = self._way[0][0] - time.monotonic()
            if left > 0.0:
                return left
            _, _, device, packet = heapq.heappop(self._way)
            try:
                os.write(device, packet)
            except OSError:  # its queue is full, or it is down: lost, as in a network
                pass
        return 1.0

    def take(self, number: int) -> None:
        """Take packets that leave a region."""
        for _ in range(_BATCH):
            try:
                packet = os.read(self.devices[number], _LARGEST)
            except BlockingIOError:
                return
            link = self.links.get((number, packet[_REGION])) if packet[0] >> 4 == 4 else None
            if link is None or link.cut or len(self._way) >= _FULL:
                continue
            link.last_due = due = max(time.monotonic() + link.delay, link.last_due)  # none overtakes another
            heapq.heappush(self._way, (due, next(self._order), self.devices[packet[_REGION]], packet))


def carry(orders: socket.socket, carrier: Carrier) -> None:
    """Carry packets and orders out until whoever gives orders is gone."""
    regions = {device: number for number, device in carrier.devices.items()}
    said = b""
    while True:
        wait = carrier.deliver()  # to the microsecond: poll and epoll count milliseconds
        ready, _, _ = select.select([orders.fileno(), *regions], [], [], wait)
        for each in ready:
            if each in regions:
                carrier.take(regions[each])
                continue
            data = orders.recv(65_536)
            if not data:
                return
            *lines, said = (said + data).split(b"\n")
            for line in lines:
                carrier.obey(*json.loads(line))
                orders.sendall(b"done\n")


if __name__ == "__main__":
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)  # a network does not slow down because processors are busy
    except OSError:
        pass
    pairs = [word.split("=") for word in sys.argv[2:]]  # copies of descriptors have low numbers, as select() needs them
    made = Carrier({int(number): os.dup(int(device)) for number, device in pairs})
    carry(socket.socket(fileno=os.dup(int(sys.argv[1]))), made)
