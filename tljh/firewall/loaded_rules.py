"""The rules in the kernel, as a resource that goes back by itself unless an admin confirms it.

A rule that is wrong locks out the admin who would correct it. So rules that were never confirmed
start a timer: without `tljh firewall confirm` it loads the rules from before. After a reboot only
confirmed rules are loaded.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.engine.resource import Difference, Record, Resource, Stage
from tljh.firewall.rules import REMOVAL, TABLE, find_mark
from tljh.host.interface import Host, HostReader

BACK_TIMER = "tljh-firewall-back.timer"
CONFIRM_S = 60


@dataclass(frozen=True)
class FirewallFiles:
    """The scripts of rules: those to have, and those that were confirmed, replaced or refused."""

    directory: Path

    @property
    def rules(self) -> Path:
        """The rules that the settings ask for."""
        return self.directory / "rules.nft"

    @property
    def confirmed(self) -> Path:
        """The rules that are loaded at boot."""
        return self.directory / "confirmed.nft"

    @property
    def before(self) -> Path:
        """The rules that the timer goes back to."""
        return self.directory / "before.nft"

    @property
    def refused(self) -> Path:
        """Rules that were not confirmed in time; the timer writes it."""
        return self.directory / "refused.nft"


def get_files(paths: Paths) -> FirewallFiles:
    return FirewallFiles(paths.firewall_dir)


def is_loaded(host: HostReader, script: str) -> bool:
    """Return whether the kernel has exactly these rules."""
    mark = find_mark(script)
    if mark is None:
        return False
    return mark in host.query(["nft", "list", "chain", *TABLE.split(), mark]).out


def has_table(host: HostReader) -> bool:
    return TABLE in host.query(["nft", "list", "table", *TABLE.split()]).out


def load(host: Host, script: str) -> None:
    """Load a script as one transaction. Raises TljhError if nft refuses it."""
    result = host.run(["nft", "-f", "-"], timeout_s=30, stdin=script)
    if not result.ok:
        raise TljhError(
            "nftables refuses the rules of the firewall",
            why=(result.err.strip() or "nft failed").splitlines()[0],
            fix="sudo tljh-config set firewall.enabled false && sudo tljh-config reload",
        )


@dataclass(frozen=True)
class FirewallRules(Resource):
    """The rules in the kernel; an empty `script` is for no table."""

    script: str
    files: FirewallFiles

    kind: ClassVar[str] = "firewall"
    # Last: a change that fails for another reason must not leave the timer running.
    stage: ClassVar[Stage] = Stage.LAST

    @property
    def name(self) -> str:
        return "incoming connections"

    def difference(self, host: HostReader) -> Difference | None:
        if not self.script:
            return Difference("-", "every port takes connections") if has_table(host) else None
        if is_loaded(host, self.script) or host.read(self.files.refused) == self.script.encode():
            return None
        if self._is_confirmed(host):
            return Difference("~", "the rules that were confirmed are loaded again")
        return Difference("~", f"goes back by itself unless it is confirmed within {CONFIRM_S} s")

    def _is_confirmed(self, host: HostReader) -> bool:
        return host.read(self.files.confirmed) == self.script.encode()

    def rehearse(self, host: Host, changed: Set[str], progress: Progress) -> Sequence[Finding]:
        if self.key not in changed or not self.script:
            return ()
        checked = host.run(["nft", "-c", "-f", "-"], timeout_s=30, stdin=self.script)
        if not checked.ok and checked.code != 127:
            raise TljhError(
                "nftables refuses the rules of the firewall",
                why=(checked.err.strip() or "nft failed").splitlines()[0],
            )
        if self._is_confirmed(host):
            return ()
        what = f"the firewall goes back by itself in {CONFIRM_S} seconds"
        why = "a wrong rule would lock you out"
        fix = "open another SSH connection, and there: sudo tljh firewall confirm"
        return (Finding(what, why=why, fix=fix),)

    def before(self, host: HostReader) -> Record:
        confirmed = host.read(self.files.confirmed)
        loaded = confirmed.decode() if confirmed and is_loaded(host, confirmed.decode()) else ""
        return {"script": loaded}

    def apply(self, host: Host, progress: Progress) -> None:
        host.systemctl("stop", BACK_TIMER)
        if not self.script:
            load(host, REMOVAL)
            return
        if not self._is_confirmed(host):
            confirmed = host.read(self.files.confirmed) or REMOVAL.encode()
            host.write(self.files.before, confirmed, mode=0o600)
            # First the way back, then the rules: a kill in between must not lock the admin out.
            started = host.systemctl("start", BACK_TIMER)
            if not started.ok:
                raise TljhError(
                    "the timer that goes back to the rules before does not start",
                    why=started.err.strip(),
                )
        load(host, self.script)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        host.systemctl("stop", BACK_TIMER)
        load(host, record["script"] or REMOVAL)

    @classmethod
    def difference_of_removal(cls, host: HostReader, record: Record) -> Difference | None:
        return Difference("-", "every port takes connections") if has_table(host) else None


def confirm(host: Host, files: FirewallFiles) -> bool:
    """Keep the rules that are loaded; return whether they were not confirmed before.

    Raises TljhError where the rules of the settings are not loaded.
    """
    data = host.read(files.rules)
    if data is None:
        raise TljhError(
            "the firewall is not enabled",
            fix="sudo tljh-config set firewall.enabled true && sudo tljh-config reload",
        )
    if host.read(files.confirmed) == data and is_loaded(host, data.decode()):
        return False
    if not is_loaded(host, data.decode()):
        raise TljhError(
            "there is nothing to confirm: the rules are not loaded",
            why=f"they were not confirmed within {CONFIRM_S} s, and went back",
            fix="sudo tljh firewall try, and within a minute: sudo tljh firewall confirm",
        )
    host.write(files.confirmed, data, mode=0o600)
    host.systemctl("stop", BACK_TIMER)
    host.remove(files.refused)
    host.remove(files.before)
    # Between the stop and the look the timer may have fired.
    load(host, data.decode())
    return True
