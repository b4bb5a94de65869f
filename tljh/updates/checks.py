"""Check of updates: whether they are installed by themselves, as the settings say."""

from __future__ import annotations

from collections.abc import Iterator

from tljh.base.clock import get_utc_time
from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.host.interface import HostReader
from tljh.plugins.checks import Check, CheckedMachine, Result
from tljh.updates.resources import PACKAGE

# apt writes its time when the nightly run has ended.
STAMP = "/var/lib/apt/periodic/unattended-upgrades-stamp"
# A machine that was off for some nights is no reason to look.
MOST_AGE_S = 4 * 86400


def find_switch(host: HostReader) -> str | None:
    """Return why updates are not installed by themselves; None if they are.

    It is asked of apt, whose settings any package or admin may change.
    """
    if host.package(PACKAGE) is None:
        return f"{PACKAGE} is not installed"
    settings = host.query(["apt-config", "dump", "APT::Periodic"]).out
    for name in ("Unattended-Upgrade", "Update-Package-Lists"):
        if f'APT::Periodic::{name} "0"' in settings or f"::{name} " not in settings:
            return f"apt's setting APT::Periodic::{name} is off"
    if not host.unit("apt-daily-upgrade.timer").is_active:
        return "apt-daily-upgrade.timer does not run"
    return None


def read_age_s(host: HostReader) -> float | None:
    """Return how long ago the last nightly run ended; None before the first."""
    answer = host.query(["stat", "--format=%Y", STAMP])
    if not answer.ok or not answer.out.strip().isdigit():
        return None
    return get_utc_time().timestamp() - int(answer.out)


def _check(subject: CheckedMachine) -> Iterator[Result]:
    if subject.config is None or subject.config.updates.install == "unchanged":
        return
    reason = find_switch(subject.host)
    if reason is not None:
        what = "updates of the distribution are not installed by themselves"
        yield Severity.DEGRADED, Finding(what, why=reason, fix="sudo tljh-config reload")
        return
    age_s = read_age_s(subject.host)
    if age_s is not None and age_s > MOST_AGE_S:
        yield (
            Severity.DEGRADED,
            Finding(
                f"the last updates were installed {age_s / 86400:.0f} days ago",
                fix="see why: sudo tljh updates check; sudo journalctl -u apt-daily-upgrade",
            ),
        )


CHECKS = (Check("updates", _check),)
