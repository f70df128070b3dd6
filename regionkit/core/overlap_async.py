"""Calls at once, without a thread for each. Hand-written pair with `overlap.py`: tasks do so by themselves."""

from __future__ import annotations

from regionkit.core.concurrency_async import agather as aoverlap
from regionkit.core.concurrency_async import asleep as apause

__all__ = ["aoverlap", "apause"]
