"""Updates of the distribution: a dry run, and the reboot that waits for a quiet moment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.clock import get_utc_time
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress, format_count
from tljh.host import apt
from tljh.host.interface import Host, HostReader
from tljh.host.secret_files import read_token
from tljh.hub.api_client import HubApi
from tljh.operations.checks import examine_machine
from tljh.operations.status import count_servers
from tljh.settings.derived import get_api_url
from tljh.settings.package_variables import read_package_variables
from tljh.updates.checks import find_switch
from tljh.updates.resources import PACKAGE

if TYPE_CHECKING:
    from tljh.settings.root import Config

REBOOT_REQUIRED = Path("/run/reboot-required")
DRY_RUN_TIMEOUT_S = 900
# A kernel that computes counts as activity of its user; a page that is open does not.
QUIET_FOR = timedelta(minutes=10)
POLL_S = 30.0


@dataclass(frozen=True)
class UpdateCheck:
    """Why updates are not installed by themselves (None if they are), and what waits."""

    problem: str | None
    packages: Sequence[str]
    needs_reboot: bool


def check_updates(host: Host, paths: Paths, progress: Progress) -> UpdateCheck:
    """Let unattended-upgrades say what it would install. Raises TljhError if it fails."""
    problem = find_switch(host)
    if host.package(PACKAGE) is None:
        return UpdateCheck(problem, (), is_reboot_due(host))
    with progress.step("fetch the lists of packages"):
        variables = read_package_variables(host, paths)
        fetched = apt.refresh(host, variables, DRY_RUN_TIMEOUT_S)
    if not fetched.ok:
        raise TljhError(
            "the lists of packages could not be fetched",
            why=(fetched.err or fetched.out).strip(),
            fix="correct what sudo apt-get update reports",
        )
    with progress.step("ask unattended-upgrades what it would install"):
        # Debian's name of the command, and Ubuntu's, are both of the package.
        argv = ["unattended-upgrade", "--dry-run", "--verbose"]
        done = host.run(argv, timeout_s=DRY_RUN_TIMEOUT_S)
    if not done.ok:
        raise TljhError("unattended-upgrades failed", why=(done.err or done.out).strip())
    return UpdateCheck(problem, parse_packages(done.out + done.err), is_reboot_due(host))


def parse_packages(text: str) -> list[str]:
    """Return the packages in what unattended-upgrade prints with --verbose."""
    match = re.search(r"Packages that will be upgraded: *(.*)$", text, re.MULTILINE)
    return match[1].split() if match else []


def is_reboot_due(host: HostReader) -> bool:
    return host.info(REBOOT_REQUIRED) is not None


def reboot_when_quiet(host: Host, paths: Paths, progress: Progress, *, force: bool) -> bool:
    """Warn on the hub's pages, wait until no user works, and reboot; return whether it reboots.

    Without an update that needs one, nothing happens unless `force` is given. The wait ends at
    `updates.reboot.most_wait_s`. A command that is stopped removes its warning.
    """
    if not force and not is_reboot_due(host):
        return False
    config = examine_machine(host, paths).config
    if config is None:
        raise TljhError(f"there is no working configuration at {paths.prefix}")
    settings = config.updates.reboot
    latest = get_utc_time() + timedelta(seconds=settings.most_wait_s)
    end_s = host.monotonic_s() + settings.most_wait_s
    try:
        while not _is_quiet(host, paths, config) and host.monotonic_s() < end_s:
            _announce(
                host,
                "This machine restarts for an update as soon as no user works, and at "
                f"{latest:%H:%M} UTC at the latest. Save your work.",
            )
            host.pause(POLL_S)
        if count_servers(host):
            reboot_time = get_utc_time() + timedelta(seconds=settings.warning_s)
            _announce(
                host,
                f"This machine restarts for an update at {reboot_time:%H:%M} UTC. Save your work.",
            )
            servers = format_count(count_servers(host), "server")
            with progress.step(f"wait for {settings.warning_s} s, {servers} running"):
                host.pause(settings.warning_s)
        with host.lock(paths.lock, timeout_s=settings.most_wait_s or 1):
            started = host.systemctl("reboot")
    finally:
        # After a successful call, too: the next boot has another /run.
        host.remove(Paths.announcement)
    if not started.ok:
        raise TljhError("the machine does not reboot", why=started.err.strip())
    return True


def _announce(host: Host, text: str) -> None:
    if host.read(Paths.announcement) != text.encode():
        host.write(Paths.announcement, text.encode(), mode=0o644)


def _is_quiet(host: HostReader, paths: Paths, config: Config) -> bool:
    """Return whether no user with a running server was active in the last minutes.

    A hub that does not answer cannot say it: then only a machine without servers is quiet.
    """
    if count_servers(host) == 0:
        return True
    token = read_token(host, paths.hub_token)
    users = HubApi(host, get_api_url(config.base_url), token).users() if token else None
    if users is None:
        return False
    times = [_parse_time(user.last_activity) for user in users if user.servers]
    return all(time is None or get_utc_time() - time > QUIET_FOR for time in times)


def _parse_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
