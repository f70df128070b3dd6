"""Python's collector looks at what tests make, and no more at the half of a million objects of 14,000 collected tests.

Each look at all of these costs 0.6 s of the processor, and whatever makes many objects, or calls `gc.collect()`, causes one.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()
