"""Login sessions of users in which /proc has their own processes only, as in their servers.

For each session, PAM mounts another /proc with the option `hidepid`, in the session's namespace.
For the whole machine, that option would break logind and polkit. Debian's `pam-auth-update` puts
profiles of packages into the files that all services read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.engine.file_resources import Absent, Directory, File, PathResource
from tljh.engine.resource import Difference, Record, Resource
from tljh.host.accounts import ADMINS_GROUP, USERS_GROUP
from tljh.host.interface import Host, HostReader

if TYPE_CHECKING:
    from tljh.settings.root import Config

# What `pam-auth-update` writes for services with sessions, and for those without a terminal.
SESSIONS = Path("/etc/pam.d/common-session")
SESSION_FILES = (SESSIONS, Path("/etc/pam.d/common-session-noninteractive"))
PAM_AUTH_UPDATE = Path("/usr/sbin/pam-auth-update")
TIMEOUT_S = 60

# The files of PAM for the services in which a user may begin a session.
SERVICES = tuple(Path("/etc/pam.d") / name for name in ("sshd", "login", "su"))
_INCLUDED = re.compile(r"^\s*(?:@include|-?session\s+(?:include|substack))\s+(\S+)", re.M)
_INCLUDE_DEPTH = 5

# Our first rule, and a comment of the files that `pam-auth-update` still writes.
RULE = f"pam_succeed_if.so quiet user notingroup {USERS_GROUP}"
MANAGED = "# here are the per-package modules"

# A rule that succeeds skips as many lines as it says.
PROFILE = f"""\
Name: Hide the processes of others from users of JupyterHub
Default: yes
Priority: 0
Session-Type: Additional
Session:
\t[success=2 default=ignore]\t{RULE}
\t[success=1 default=ignore]\tpam_succeed_if.so quiet user ingroup {ADMINS_GROUP}
\trequired\tpam_namespace.so
"""

# pam_namespace runs a script only for a directory that it replaces. This one nobody uses.
NAMESPACE = """\
# Written by tljh from the settings users.ssh and user_units; edits are overwritten.
{directory} tljh tmpfs:create=0755,root,root:iscript={script}
"""
SCRIPT = """\
#!/bin/sh
# Written by tljh from the settings users.ssh and user_units; edits are overwritten.
exec mount -t proc -o nosuid,nodev,noexec,hidepid=invisible proc /proc
"""


# The same mount in a namespace that ends with the command.
TRIAL = (
    *("unshare", "--mount", "mount", "-t", "proc"),
    *("-o", "nosuid,nodev,noexec,hidepid=invisible", "proc", "/proc"),
)


def hides_processes(config: Config) -> bool:
    """Return whether users have programs outside their servers, and see only their own there."""
    users = config.users
    is_outside = users.ssh == "shell" or users.user_units
    return users.accounts == "managed" and is_outside and config.isolation.processes


def find_mount_problem(host: HostReader) -> str | None:
    """Return why a session cannot get its own /proc; None if it can.

    In a container without CAP_SYS_ADMIN, for example. There the profile would end every session of
    users, and if a rule of it fails, those of root.
    """
    trial = host.query(list(TRIAL))
    return None if trial.ok else (trial.err or trial.out).strip() or "mount failed"


def build_session_resources(config: Config, mount_problem: str | None) -> list[Resource]:
    """Return the profile for PAM and what it needs, or their removal."""
    conf, script = Paths.session_namespace, Paths.session_script
    if not hides_processes(config) or mount_problem is not None:
        return [PamProfile(None), Absent(conf), Absent(script)]
    return [
        Directory(conf.parent, 0o755),
        File(script, SCRIPT.encode(), mode=0o755),
        File(
            conf, NAMESPACE.format(directory=Paths.session_directory, script=script.name).encode()
        ),
        PamProfile(PROFILE),
    ]


def find_open_services(host: HostReader) -> list[Path]:
    """Return the files of PAM whose services begin sessions that show the processes of others."""
    present = [path for path in SERVICES if host.info(path) is not None]
    return [path for path in present or [SESSIONS] if RULE not in _read_all(host, path)]


def _read_all(host: HostReader, path: Path, depth: int = _INCLUDE_DEPTH) -> str:
    """Return a file of PAM, without comments, and what it includes for sessions."""
    lines = (host.read(path) or b"").decode(errors="replace").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    included = dict.fromkeys(_INCLUDED.findall(text)) if depth else ()
    return "\n".join((text, *(_read_all(host, path.parent / name, depth - 1) for name in included)))


def _is_up_to_date(host: HostReader, *, is_wanted: bool) -> bool:
    """Return whether the files that `pam-auth-update` writes have the rule, or have it not.

    Where admins edit PAM's files by hand, it leaves them alone.
    """
    texts = [(host.read(path) or b"").decode(errors="replace") for path in SESSION_FILES]
    return all((RULE in text) == is_wanted for text in texts if MANAGED in text)


@dataclass(frozen=True)
class PamProfile(PathResource):
    """Our profile, in effect; or neither, without a text."""

    text: str | None
    path: Path = Paths.pam_profile

    kind: ClassVar[str] = "pam-profile"

    def difference(self, host: HostReader) -> Difference | None:
        data = None if self.text is None else self.text.encode()
        is_updated = _is_up_to_date(host, is_wanted=data is not None)
        if host.read(self.path) == data and is_updated:
            return None
        if data is None:
            return Difference("-", "sessions show the processes of others")
        return Difference("+", "sessions hide the processes of others")

    def apply(self, host: Host, progress: Progress) -> None:
        if self.text is None:
            host.remove(self.path)
            _update_pam(host)
        else:
            host.write(self.path, self.text.encode(), mode=0o644)
            # Also where an admin has switched it off before.
            _update_pam(host, "--enable", self.path.name)

    @classmethod
    def revert(cls, host: Host, record: Record) -> str | None:
        note = super().revert(host, record)
        _update_pam(host)
        return note


def _update_pam(host: Host, *options: str) -> None:
    """Have PAM's files written again. Raises TljhError if that fails."""
    argv = [str(PAM_AUTH_UPDATE), "--package", *options]
    result = host.run(argv, timeout_s=TIMEOUT_S, env={"DEBIAN_FRONTEND": "noninteractive"})
    if not result.ok:
        raise TljhError(f"{PAM_AUTH_UPDATE.name} failed", why=(result.err or result.out).strip())
