"""Bookmarks and readiness for web applications: `regionkit.web.asgi` and `.wsgi` hold the middleware, `.django` a router,
`.django_branch` the ORM in a transaction over several databases.

No web framework is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from regionkit.web.carriage import Cookie
    from regionkit.web.visit import Carrier, Visit

__all__ = ["Carrier", "Cookie", "Visit"]

__getattr__, __dir__ = lazy_names(__name__, {"Carrier": "visit", "Cookie": "carriage", "Visit": "visit"})
