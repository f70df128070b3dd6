"""What an application has made, by its name on the command line: MODULE:NAME, from the folder where the command runs."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from regionkit.errors import ConfigurationError

__all__ = ["named"]


def named(name: str) -> Any:
    """The object that `name` names.

    Raises:
        ConfigurationError: there is none.
    """
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"{name!r} cannot be loaded.",
            why=f"{error}.",
            fix="write MODULE:NAME, and run the command in the folder of the module.",
        ) from error
