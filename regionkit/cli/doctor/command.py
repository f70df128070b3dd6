"""`regionkit doctor`: what is not right yet, from the configuration to the servers; and why, and what to do."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from typing import Any

from regionkit.cli.commands import kit_of
from regionkit.cli.doctor.collecting import collect, written_passwords
from regionkit.cli.doctor.findings import Finding, in_order
from regionkit.cli.doctor.pillars import Pieces
from regionkit.cli.doctor.report import as_data, as_text
from regionkit.cli.doctor.rules import diagnose
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.kit import RegionKit

__all__ = ["doctor"]


def doctor(options: argparse.Namespace) -> int:
    """0: nothing above a note. 1: findings. (2, a configuration that cannot be used, is an error of the command line.)"""
    findings: list[Finding] = []
    local, looked_at = "", 0
    with ExitStack() as stack:
        pieces = stack.enter_context(Pieces())
        apps = [pieces.named(name) for name in options.app]
        kits = [given for given in apps if isinstance(given, RegionKit)]
        passwords: tuple[str, ...] = ()
        if not apps or options.config is not None:
            options.config = options.config or "regionkit.toml"
            kits.append(stack.enter_context(kit_of(options)))
            passwords = written_passwords(options.config)
        for kit in kits:
            stores = len(kit._topology.stores)
            named = f"{stores} store{'' if stores == 1 else 's'}"
            print(f"examining the endpoints of {named} ...", file=sys.stderr, flush=True)
            facts = collect(kit, options.timeout, passwords)
            local, passwords = facts.local, ()
            looked_at += sum(e.examined is not None for e in facts.endpoints)
            findings += diagnose(facts, SYSTEM_CLOCK.wall())
        for name, given in zip(options.app, apps, strict=True):
            if not isinstance(given, RegionKit):
                findings += pieces.examined(name, given)
    findings = in_order(findings)
    data: dict[str, Any] = as_data(findings, local, looked_at)
    print(json.dumps(data, indent=2) if options.json else as_text(findings, looked_at))
    return int(any(f.severity != "note" for f in findings))
