"""What `doctor` finds: a value."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Finding"]


class Finding(msgspec.Struct, frozen=True, gc=False):
    """One finding.

    Attributes:
        level: "ok"; "warning": it works, with a risk; "refused": the manager does not start with it.
        subject: the log's name or the participant's.
        what: happened or stands there.
        fix: what to do; "" where nothing is to be done.
    """

    level: Literal["ok", "warning", "refused"]
    subject: str
    what: str
    fix: str = ""
