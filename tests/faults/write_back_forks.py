"""A process that forks while its threads put, and its children put too.

python write_back_forks.py CELL        CELL as JSON; each line on stdout is a key and a value that was acknowledged
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from typing import Any

from write_back_children import cache_of

from regionkit.errors import RegionKitError

CHILDREN, THREADS, SECONDS = 5, 3, 2.0


def put(cache: Any, name: str, until: float) -> None:
    """Rising values for keys of its own; what is acknowledged is read, and printed by one write."""
    step = 0
    while time.monotonic() < until:
        step += 1
        key = f"{name}-{step % 5}"
        try:
            cache.put(key, {"n": step})
            if cache.get(key) != {"n": step}:
                os.write(1, f"misread {key} {step}\n".encode())
        except RegionKitError as error:
            os.write(1, f"error {type(error).__name__} {error}\n".encode())
            continue
        os.write(1, f"ok {key} {step}\n".encode())


def main() -> None:
    """Fork in the midst of it."""
    cell, chance = json.loads(sys.argv[1]), random.Random(3)
    with cache_of(cell) as cache:
        cache.put("first", {"n": 1})
        until = time.monotonic() + SECONDS
        threads = [threading.Thread(target=put, args=(cache, f"t{n}", until)) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        pids = []
        for number in range(CHILDREN):
            time.sleep(chance.random() * SECONDS / CHILDREN / 2)
            pid = os.fork()
            if not pid:
                code = 1
                try:
                    put(cache, f"c{number}", time.monotonic() + SECONDS / 4)
                    code = 0 if cache.flush(f"c{number}-1", timeout=30.0) else 2
                finally:
                    os._exit(code)
            pids.append(pid)
        for thread in threads:
            thread.join()
        for pid in pids:
            os.write(1, f"exit {pid} {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())


if __name__ == "__main__":
    main()
