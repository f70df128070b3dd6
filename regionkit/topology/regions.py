"""A region: a place where the application and its data run, and the law that it stands under."""

from __future__ import annotations

import re
from dataclasses import dataclass

from regionkit.topology.validation import check_name

__all__ = ["Region"]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_JURISDICTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


@dataclass(frozen=True, slots=True)
class Region:
    """A named place. Immutable, hashable, shared freely.

    Attributes:
        name: matches `[a-z0-9][a-z0-9-]{0,62}`, for example "ap-northeast-2".
        jurisdiction: the law that holds there, in the words that residency rules use ("KR", "EU"); None: not stated,
            and then no rule that allows by jurisdiction allows it.

    Raises:
        ConfigurationError: when a name is not usable.
    """

    name: str
    jurisdiction: str | None = None

    def __post_init__(self) -> None:
        check_name("region name", self.name, _NAME)
        if self.jurisdiction is not None:
            check_name("jurisdiction", self.jurisdiction, _JURISDICTION)

    def __str__(self) -> str:
        return f"{self.name} ({self.jurisdiction})" if self.jurisdiction else self.name
