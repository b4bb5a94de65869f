"""Check of plugins: those that the hub leaves out, and those that failed while it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.plugins.checks import Check, CheckedMachine, Result
from tljh.plugins.selection import parse_selection


def _check_plugins(subject: CheckedMachine) -> Iterator[Result]:
    """Report the mistakes that were recorded; no plugin runs for it."""
    host, paths = subject.host, subject.paths
    selection = parse_selection(host.read(paths.applied.plugins))
    files = [paths.plugin_failures]
    files += [paths.new_accounts / name for name in host.listdir(paths.new_accounts)]
    findings = list(selection.left_out.values())
    for file in files:
        try:
            items = json.loads(host.read(file) or b"[]")
            findings += [Finding.from_json(item) for item in items]
        except (ValueError, KeyError, TypeError):
            # Cut off by a full disk; the next start of the hub writes it again.
            continue
    for finding in dict.fromkeys(findings):
        yield Severity.DEGRADED, finding


CHECKS = (Check("plugins", _check_plugins),)
