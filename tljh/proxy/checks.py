"""Checks of the proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.plugins.checks import Check, CheckedMachine, Result


def _check_proxy(subject: CheckedMachine) -> Iterator[Result]:
    raw = subject.host.read(subject.paths.proxy_state)
    if raw is None:
        return
    error = json.loads(raw).get("last_error")
    if error:
        yield (
            Severity.DEGRADED,
            Finding(
                "the proxy could not load its last configuration and runs with the previous one",
                why=error,
                fix="correct the cause above, then run: sudo tljh-config reload",
            ),
        )


CHECKS = (Check("proxy", _check_proxy, is_quick=False),)
