"""State checks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.operations.checks import Subject, check


@check("proxy", is_quick=False)
def _proxy(subject: Subject) -> Iterator[tuple[Severity, Finding]]:
    raw = subject.host.read(Path("/run/traefik/state.json"))
    if raw is None:
        return
    error = json.loads(raw).get("last_error")
    if error:
        yield (
            Severity.DEGRADED,
            Finding(
                "the proxy could not take up its last configuration and runs on the one before",
                why=error,
                fix="mend what it says, then: sudo tljh-config reload",
            ),
        )
