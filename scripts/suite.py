"""Run the whole test suite; what failed beside other tests is run once more, alone.

    python scripts/suite.py -n 3 --dist loadgroup

Thousands of tests share two cores with dozens of servers, and some measure what those do in seconds. A test that fails then and
passes alone is printed as FLAKY: a fault of the test, or a rare one of the library, to be looked into; it does not fail the run.
More than `MOST` failures, or any that fails again, does. Numbers that a test prints itself are its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MOST = 10
"""Failures that are run again, fewer than one test in a thousand: more cannot be chance. A disk that stalls costs some."""
FAILED = Path(".pytest_cache/v/cache/lastfailed")
SOME_FAILED = 1
"""Pytest's exit code for failed tests; others mean that the run itself failed."""


def main() -> int:
    """Exit code 0 when every test passed, at the latest alone."""
    FAILED.unlink(missing_ok=True)
    code = subprocess.run([sys.executable, "-m", "pytest", *sys.argv[1:]], check=False).returncode
    failed = sorted(json.loads(FAILED.read_text())) if code == SOME_FAILED and FAILED.exists() else []
    if not 0 < len(failed) <= MOST:
        return code
    names = [name.rpartition("@")[0] if "@" in name.rpartition("]")[2] else name for name in failed]
    print(f"\n{len(names)} failed beside other tests; run again, alone:", *names, sep="\n  ", flush=True)
    again = subprocess.run([sys.executable, "-m", "pytest", "-n", "0", "-rfE", *names], check=False).returncode
    if again == 0:
        print("\nFLAKY: failed beside other tests, passed alone:", *names, sep="\n  ", flush=True)
    return again


if __name__ == "__main__":
    sys.exit(main())
