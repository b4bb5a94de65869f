"""`tljh install`: the bootstrap calls it when it has built the hub environment."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from tljh.base.errors import TljhError
from tljh.base.paths import get_paths
from tljh.base.progress import Progress, PublishedProgress
from tljh.base.well_known import SHORTEST_PASSWORD
from tljh.commands.parameters import choose_progress_on_stderr
from tljh.commands.reload import PlannedChange
from tljh.host.real import RealHost
from tljh.operations.install import InstalledHub, install, plan_install
from tljh.operations.install_answers import InstallAnswers, read_answers
from tljh.operations.restore import read_restore_source, restore_machine


@dataclass(frozen=True)
class InstallReport:
    """The address of the hub, the way in for its admins, and the next steps."""

    installed: InstalledHub

    def as_json(self) -> dict[str, Any]:
        return {
            "url": self.installed.url,
            "admins": list(self.installed.admins),
            "claims": {link.claim.login: link.url for link in self.installed.claims},
            "kept_passwords": list(self.installed.kept_passwords),
            "changed": self.installed.is_changed,
        }

    def as_text(self) -> str:
        installed = self.installed
        first = (
            "Done." if installed.is_changed else "Nothing to do: the machine is as it should be."
        )
        lines = ["", f"{first} Your hub: {installed.url}", ""]
        claiming = {link.claim.login for link in installed.claims}
        others = [name for name in installed.admins if name not in claiming]
        if others:
            lines += [f"Log in there as {' or '.join(others)}.", ""]
        for name in installed.kept_passwords:
            lines += [
                f"{name} keeps the current password. To set a new one:",
                f"  sudo tljh user reset-password {quote(name)}",
                "",
            ]
        for name in installed.short_passwords:
            lines += [
                f"The password of {name}, who can become root here, has less than "
                f"{SHORTEST_PASSWORD} characters. To set a better one:",
                f"  sudo tljh user reset-password {quote(name)}",
                "",
            ]
        for link in installed.claims:
            until = link.claim.expires.strftime("%Y-%m-%d %H:%M UTC")
            lines += [
                f"{link.claim.login} is an admin. Set the password here, once, until {until}:"
                if not link.needs_code
                else f"{link.claim.login} is an admin. Set the password here, once, until {until}, "
                "with the claim code:",
                f"  {link.url}",
                "",
            ]
        if not installed.is_new:
            return "\n".join(lines).rstrip()
        lines.append("Next:")
        if not installed.url.startswith("https:"):
            lines += [
                "  HTTPS    sudo tljh-config set https.letsencrypt.email you@example.org",
                "           sudo tljh-config add-item https.letsencrypt.domains hub.example.org",
                "           sudo tljh-config set https.enabled true && sudo tljh-config reload",
            ]
        lines += [
            "  users    sudo tljh user add NAME (or in the hub, as an admin: Admin > Add Users)",
            "  limits   sudo tljh-config set limits.memory 2G && sudo tljh-config reload",
        ]
        return "\n".join(lines)


def install_with(*, answers: str = "-", as_json: bool = False) -> InstallReport | PlannedChange:
    """Install a hub. The bootstrap calls this; admins call the bootstrap.

    `answers` is a JSON file of the bootstrap's options, `-` for standard input.
    """
    text = sys.stdin.read() if answers == "-" else Path(answers).read_text()
    parsed = read_answers(text)
    host, paths = RealHost(), get_paths()
    progress = _choose_progress(parsed, as_json)
    try:
        source = read_restore_source(parsed)
        if source and parsed.plan:
            raise TljhError(
                "a restore has no plan before its backup is open",
                why="restic is installed, and the backup read, by the restore itself",
                fix="look at it on the hub's machine: sudo tljh backup check --restore",
            )
        if parsed.plan:
            return PlannedChange(plan_install(host, paths, parsed))
        if source:
            restore_machine(host, paths, source, progress)
        return InstallReport(install(host, paths, parsed, progress))
    except TljhError as error:
        if isinstance(progress, PublishedProgress):
            progress.failed(str(error))
        raise


def _choose_progress(answers: InstallAnswers, as_json: bool) -> Progress:
    local = choose_progress_on_stderr(as_json)
    if answers.events_fd is None:
        return local
    # The bootstrap reads this pipe to its end; a child process must not keep it open.
    os.set_inheritable(answers.events_fd, False)
    return PublishedProgress(local, os.fdopen(answers.events_fd, "w"))
