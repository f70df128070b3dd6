"""What a namespace, and all that is named like one, may be called."""

from __future__ import annotations

import re

__all__ = ["NAMESPACE"]

NAMESPACE = re.compile(r"[a-z][a-z0-9_]{0,21}")
"""What a namespace may be: part of every table, key, queue and xid, and an xid has room for no more."""
