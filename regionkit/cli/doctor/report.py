"""Findings as text of at most 80 columns, or as plain data. Pure."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import Any

import msgspec

from regionkit.cli.doctor.findings import SEVERITIES, Finding

__all__ = ["as_data", "as_text"]

WIDTH = 80
INDENT = "  "


def as_text(findings: list[Finding], looked_at: int) -> str:
    """What a person reads: worst first, one paragraph a finding, and a line that counts."""
    parts = [_paragraph(finding) for finding in findings]
    return "\n\n".join([*parts, _counted(findings, looked_at)])


def _paragraph(f: Finding) -> str:
    lines = [f"{f.severity} {f.code}  {f.subject}"]
    lines += _wrapped("", f.what)
    lines += _wrapped("why: ", f.why)
    lines += _wrapped("fix: ", f.fix)
    return "\n".join(lines)


def _wrapped(head: str, text: str) -> list[str]:
    if not text:
        return []
    plain = "".join(char if char.isprintable() else " " for char in text)  # what servers say may be anybody's
    return textwrap.wrap(
        head + plain,
        WIDTH,
        initial_indent=INDENT,
        subsequent_indent=INDENT + " " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _counted(findings: list[Finding], looked_at: int) -> str:
    count = Counter(f.severity for f in findings)
    words = [f"{count[s]} {s}{'' if count[s] == 1 else 's'}" for s in SEVERITIES if count[s]]
    endpoints = f"{looked_at} endpoint{'' if looked_at == 1 else 's'} examined"
    return f"{endpoints}: {', '.join(words) or 'no findings'}."


def as_data(findings: list[Finding], local: str, looked_at: int) -> dict[str, Any]:
    """Plain data, for JSON; its keys are stable."""
    count = Counter(f.severity for f in findings)
    return {
        "local": local,
        "endpoints": looked_at,
        "findings": [msgspec.structs.asdict(f) for f in findings],
        "counts": {severity: count[severity] for severity in SEVERITIES},
    }
