"""The rules for SSH: a drop-in for sshd, tested by sshd before it is in effect."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tljh.base.errors import Finding, Place, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.engine.file_resources import Directory, File
from tljh.engine.resource import Difference, Placeholder, Resource, Stage
from tljh.host.accounts import ADMINS_GROUP, USERS_GROUP
from tljh.host.interface import Host, HostReader
from tljh.machine_logins.facts import SSHD
from tljh.systemd.unit_resource import UnitChange

if TYPE_CHECKING:
    from tljh.settings.sections.access import UsersSettings

CONFIGURATION = Path("/etc/ssh/sshd_config")
# sshd refuses to start, and to test a configuration, without this directory. With socket
# activation, ssh.service makes it at the first connection.
PRIVILEGE_SEPARATION = Path("/run/sshd")
UNIT = "ssh.service"
TIMEOUT_S = 30

HEADER = "# Written by tljh from the setting users.ssh; edits are overwritten.\n"
USERS = f"Match Group {USERS_GROUP},!{ADMINS_GROUP}\n"
# Refused before any authentication counts, whatever key or password is offered.
DENIAL = "    DenyUsers *\n"
# In the directory of the homes, /proc with the command lines of others is out of reach.
SFTP = """\
    ChrootDirectory {homes}
    ForceCommand internal-sftp -d /%u
    DisableForwarding yes
    PermitTunnel no
    PermitTTY no
    PermitUserRC no
"""


def format_drop_in(settings: UsersSettings) -> str:
    """Return sshd's rules for the hub's users; nothing where they may have shells."""
    if settings.accounts != "managed" or settings.ssh == "shell":
        return HEADER
    if settings.ssh == "none":
        return f"{HEADER}Match Group {USERS_GROUP}\n{DENIAL}"
    if settings.ssh == "sftp":
        return HEADER + USERS + SFTP.format(homes=settings.home_root)
    return HEADER + USERS + DENIAL


def build_ssh_resources(settings: UsersSettings) -> list[Resource]:
    """Return the drop-in, and the reload of sshd that puts it in effect."""
    drop_in = SshdDropIn(Paths.sshd_drop_in, format_drop_in(settings).encode())
    return [Directory(Paths.sshd_drop_in.parent, 0o755), drop_in, SshdReload(drop_in)]


@dataclass(frozen=True)
class SshdDropIn(File):
    """A file of rules for sshd: one that sshd refuses would end every login by SSH."""

    kind: ClassVar[str] = "sshd"

    def rehearse(self, host: Host, changed: Set[str], progress: Progress) -> Sequence[Finding]:
        if self.key not in changed:
            return ()
        if host.info(PRIVILEGE_SEPARATION) is None:
            host.mkdir(PRIVILEGE_SEPARATION, mode=0o755)
        # `Match` ends with an included file, so the admin's configuration comes first.
        candidate = f"Include {CONFIGURATION}\n{self.data.decode()}"
        test = host.run([str(SSHD), "-t", "-f", "/dev/stdin"], timeout_s=TIMEOUT_S, stdin=candidate)
        if not test.ok:
            raise TljhError(
                f"sshd refuses its configuration, so {self.path} was not written",
                why=(test.err or test.out).strip(),
                fix="correct what sudo sshd -t reports, then run this again",
            )
        return () if is_included(host) else (describe_missing_include(),)


def is_included(host: HostReader) -> bool:
    """Return whether sshd's configuration reads the drop-in, for all users."""
    text = (host.read(CONFIGURATION) or b"").decode(errors="replace")
    for line in text.splitlines():
        words = line.replace("=", " ", 1).replace('"', "").split()
        keyword = words[0].lower() if words else ""
        if keyword == "match":
            return False
        if keyword == "include" and any(
            fnmatch(str(Paths.sshd_drop_in), str(CONFIGURATION.parent / pattern))
            for pattern in words[1:]
        ):
            return True
    return False


def describe_missing_include() -> Finding:
    return Finding(
        "users.ssh has no effect: sshd does not read its drop-ins",
        where=Place(str(CONFIGURATION)),
        why=f"it has no line that includes {Paths.sshd_drop_in.parent}",
        fix=f"make this its first line: Include {Paths.sshd_drop_in.parent}/*.conf; "
        "then: sudo systemctl reload ssh",
    )


@dataclass(frozen=True)
class SshdReload(Placeholder):
    """A running sshd reads its configuration again when the drop-in changes; sessions stay."""

    drop_in: SshdDropIn

    kind: ClassVar[str] = "sshd-reload"
    stage: ClassVar[Stage] = Stage.SERVICES

    @property
    def name(self) -> str:
        return UNIT

    @property
    def key(self) -> str:
        return f"unit {UNIT}"

    @property
    def triggers(self) -> Sequence[Resource]:
        return (self.drop_in,)

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        if self.drop_in.key not in changed or not host.unit(UNIT).is_active:
            return None
        summary = f"reload: {self.drop_in.name} changed; open sessions stay"
        return UnitChange(UNIT, ("reload",)), Difference("~", summary)
