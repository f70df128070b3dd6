"""The database that a URL names, for the command line."""

from __future__ import annotations

from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from regionkit.errors import ConfigurationError

__all__ = ["database_at"]


def database_at(url: str) -> Any:
    """Opened, and not connected yet; its `client` is to be closed.

    Raises:
        ConfigurationError: it is no URL of a database.
    """
    try:
        return MongoClient(url, connect=False).get_default_database()
    except (PyMongoError, ValueError):  # whose texts may have the URL in them
        raise ConfigurationError(
            "that is not a URL of a MongoDB database.",
            fix="write mongodb://host,host/database?replicaSet=name, with the name of a database.",
        ) from None
