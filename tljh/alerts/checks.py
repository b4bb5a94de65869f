"""Check of alerts: whether the channels took the last messages."""

from __future__ import annotations

from collections.abc import Iterator

from tljh.alerts.channels import find_channel_problem, list_channels
from tljh.alerts.state_file import read_alert_state
from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.plugins.checks import Check, CheckedMachine, Result

ALERTS_CHECK = "alerts"


def _check(subject: CheckedMachine) -> Iterator[Result]:
    if subject.config is None or not subject.config.alerts.has_channels:
        return
    problem = find_channel_problem(subject.host, subject.config.alerts)
    if problem is not None:
        yield from ((Severity.DEGRADED, finding) for finding in problem.findings)
        return
    problems = read_alert_state(subject.host, subject.paths).problems
    for channel in list_channels(subject.config.alerts):
        if channel.key in problems:
            yield (
                Severity.DEGRADED,
                Finding(
                    f"alerts are not taken: {channel.name}",
                    why=problems[channel.key],
                    fix="correct the cause above, then: sudo tljh alerts test",
                ),
            )


CHECKS = (Check(ALERTS_CHECK, _check),)
