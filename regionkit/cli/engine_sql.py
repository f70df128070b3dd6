"""An engine of a URL that somebody typed."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from regionkit.errors import ConfigurationError

__all__ = ["engine_of"]


def engine_of(url: str) -> Engine:
    """An engine that keeps no connection.

    Raises:
        ConfigurationError: the URL cannot be used; it is not in the text.
    """
    try:
        return create_engine(url, poolclass=NullPool)
    except (SQLAlchemyError, ImportError, ValueError) as error:  # whose texts may have the URL in them
        raise ConfigurationError(
            "the database's URL cannot be used.",
            why=type(error).__name__,
            fix='write it as "postgresql+psycopg://...", "mysql+pymysql://..." or "sqlite:///FILE".',
        ) from None
