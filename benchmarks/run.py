"""Run the benchmarks and print their tables: `python benchmarks/run.py [--quick] [job ...]`."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.harness import QUICK, Report, Settings  # found by the line above, also when run as a file

JOBS = (
    "cache_local",
    "cache_shared",
    "cassandra_reads",
    "checking",
    "decision",
    "distance",
    "idempotent",
    "inbox",
    "instrument",
    "local_read",
    "mongo_reads",
    "memory",
    "outbox_relay",
    "partitioning",
    "redis_reads",
    "routing_peers",
    "session_read",
    "sources",
    "streams",
    "throughput",
    "transactions",
    "web",
    "write_back",
    "write_wan",
)


def main() -> None:
    """All jobs, or those named."""
    parser = argparse.ArgumentParser(description="Benchmarks of regionkit on real servers, on one core.")
    parser.add_argument("jobs", nargs="*", metavar="job", help=f"of: {', '.join(JOBS)}; default all")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: orientation, no verdict")
    options = parser.parse_args()
    unknown = [job for job in options.jobs if job not in JOBS]
    if unknown:
        parser.error(f"no such job: {', '.join(unknown)}; there are: {', '.join(JOBS)}")
    logging.getLogger("regionkit").setLevel(logging.ERROR)  # new servers are changes of role: nothing to look at
    settings = QUICK if options.quick else Settings()
    began, missed = time.monotonic(), []
    for job in options.jobs or JOBS:
        found: Report | list[Report] = importlib.import_module(f"benchmarks.{job}").run(settings)
        for report in found if isinstance(found, list) else [found]:
            report.publish()
            missed += report.missed
    print(f"{time.monotonic() - began:.0f} s; targets missed: {', '.join(missed) or 'none'}")


if __name__ == "__main__":
    main()
