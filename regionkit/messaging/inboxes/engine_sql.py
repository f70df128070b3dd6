"""An engine of a URL, for the command line: it opens connections as they are needed, and keeps none."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from regionkit.errors import ConfigurationError

__all__ = ["engine_at"]


def engine_at(url: str) -> Engine:
    """The engine; the caller disposes of it.

    Raises:
        ConfigurationError: the URL cannot be used; the error does not show it.
    """
    try:
        return create_engine(url, poolclass=NullPool)
    except (SQLAlchemyError, ImportError, ValueError) as error:  # whose texts may have the URL in them
        raise ConfigurationError(
            "the database's URL cannot be used.",
            why=type(error).__name__,
            fix='write it as "postgresql+psycopg://...", "mysql+pymysql://..." or "sqlite:///FILE".',
        ) from None
