"""Checks of the proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.plugins.checks import Check, Result, Subject


def _proxy(subject: Subject) -> Iterator[Result]:
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


CHECKS = (Check("proxy", _proxy, is_quick=False),)
