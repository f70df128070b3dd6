"""What keeps a driver connection from sending more than it was asked to, in each version of redis-py. Pure."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

__all__ = ["quiet_arguments"]


@cache
def quiet_arguments(kind: type) -> dict[str, Any]:
    """Arguments of a connection class: no CLIENT SETINFO (a round trip each), no notices of maintenance.

    redis-py names them otherwise in each of its versions, so the class itself is asked.
    """
    known = {
        name
        for each in kind.__mro__
        if "__init__" in vars(each)
        for name in inspect.signature(each.__init__).parameters  # type: ignore[misc]  # of a class, not of an instance
    }
    quiet: dict[str, Any] = {"driver_info": None} if "driver_info" in known else {"lib_name": None, "lib_version": None}
    if "maint_notifications_config" in known:
        from redis.maint_notifications import MaintNotificationsConfig

        quiet["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)
    return quiet
