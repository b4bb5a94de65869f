"""`tljh updates`: what the nightly updates would do, and a reboot at a quiet moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.commands.parameters import Option, Summary, choose_progress_on_stderr
from tljh.host.real import RealHost
from tljh.operations import updates as operations
from tljh.operations.updates import UpdateCheck


@dataclass(frozen=True)
class UpdateReport:
    """What the nightly updates would do; the exit code is 2 if they are off."""

    result: UpdateCheck

    @property
    def exit_code(self) -> int:
        return 2 if self.result.problem else 0

    def as_text(self) -> str:
        lines = ["updates are installed each night"]
        if self.result.problem:
            lines = [f"updates are not installed by themselves: {self.result.problem}"]
            lines.append(
                "  fix: sudo tljh-config set updates.install security && sudo tljh-config reload"
            )
        names = " ".join(self.result.packages)
        lines.append(f"{format_count(len(self.result.packages), 'package')} to update: {names}")
        if self.result.needs_reboot:
            lines.append("an update waits for a reboot: sudo tljh updates reboot")
        return "\n".join(lines).replace(": \n", "\n").removesuffix(": ")

    def as_json(self) -> dict[str, Any]:
        return {
            "problem": self.result.problem,
            "packages": list(self.result.packages),
            "needs_reboot": self.result.needs_reboot,
        }


def check(*, as_json: bool = False) -> UpdateReport:
    """Let unattended-upgrades say what it would install; install nothing."""
    progress = choose_progress_on_stderr(as_json)
    return UpdateReport(operations.check_updates(RealHost(), get_paths(), progress))


def reboot(
    *,
    force: Annotated[bool, Option("--force", "Also if no update needs it.")] = False,
    as_json: bool = False,
) -> Summary:
    """Reboot if an update needs it: warn on the hub's pages, and wait until no user works."""
    progress = choose_progress_on_stderr(as_json)
    reboots = operations.reboot_when_quiet(RealHost(), get_paths(), progress, force=force)
    text = "the machine reboots" if reboots else "no update needs a reboot"
    return Summary((text,), {"reboots": reboots})
