"""Parts of pymongo that it has moved from module to module between its versions, each found where it is."""

from __future__ import annotations

import importlib
from typing import Any

import pymongo

from regionkit.errors import ConfigurationError

__all__ = ["driver_part"]


def driver_part(name: str, *modules: str) -> Any:
    """The thing of that name in the first of these modules that has it.

    Raises:
        ConfigurationError: none has it: this version of pymongo is another one than those that are tested.
    """
    for module in modules:
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise ConfigurationError(
        f"pymongo {pymongo.version} is not one that this version of regionkit knows.",
        why=f"it lacks {name}, which blocks need.",
        fix='pip install "regionkit[mongo]" chooses one that fits.',
    )
