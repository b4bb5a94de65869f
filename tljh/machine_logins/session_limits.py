"""Limits of login sessions on the machine: those of the user's server, for the user's slice.

systemd puts all sessions of a user (SSH, console, user manager) into the slice user-UID.slice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.engine.file_resources import read_image, restore_image
from tljh.engine.resource import Difference, Placeholder, Record, Resource, Stage
from tljh.host.accounts import get_login
from tljh.host.interface import Host, HostReader, UserInfo
from tljh.singleuser.limits import LimitPolicy, ServerLimits
from tljh.systemd.unit_resource import reload_systemd

_DIRECTORY = re.compile(r"user-(\d+)\.slice\.d")


def format_slice(limits: ServerLimits) -> str:
    """Return the drop-in of a user's slice."""
    properties = {**limits.as_properties(), "MemorySwapMax": "0"}
    lines = "".join(f"{name}={value}\n" for name, value in properties.items())
    return f"# Written by tljh from the section limits; edits are overwritten.\n[Slice]\n{lines}"


def write_limits(host: Host, path: Path, text: str) -> None:
    """Write the drop-in of one user's slice."""
    host.mkdir(path.parent, mode=0o755)
    host.write(path, text.encode(), mode=0o644)


def list_session_limits(host: HostReader, paths: Paths) -> list[Path]:
    """Return the drop-ins of all users' slices that are ours."""
    matches = map(_DIRECTORY.fullmatch, host.listdir(paths.units_dir))
    files = [paths.session_limits(int(match[1])) for match in matches if match]
    return [path for path in files if host.info(path) is not None]


@dataclass(frozen=True)
class SessionLimits(Placeholder):
    """Every user who is no admin has the limits of the server in login sessions, too."""

    limits: LimitPolicy
    users: tuple[UserInfo, ...]
    paths: Paths

    kind: ClassVar[str] = "session-limits-declared"
    stage: ClassVar[Stage] = Stage.RUNNING

    @property
    def name(self) -> str:
        return "of login sessions"

    @property
    def key(self) -> str:
        return f"session-limits {self.name}"

    def planned(self, host: HostReader, changed: object) -> tuple[Resource, Difference] | None:
        desired = {
            self.paths.session_limits(user.uid): format_slice(self.limits.of(get_login(user)))
            for user in self.users
        }
        files: dict[Path, str | None] = {
            path: text for path, text in desired.items() if host.read(path) != text.encode()
        }
        for path in list_session_limits(host, self.paths):
            if path not in desired:
                files[path] = None
        if not files:
            return None
        return SessionLimitsChange(files), Difference("~", f"{len(files)} accounts")


@dataclass(frozen=True)
class SessionLimitsChange(Resource):
    """The drop-ins that differ; None for one that has to go."""

    files: Mapping[Path, str | None]

    kind: ClassVar[str] = "session-limits"

    @property
    def name(self) -> str:
        return "of login sessions"

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("~", f"{len(self.files)} accounts")

    def before(self, host: HostReader) -> Record:
        return {"files": [read_image(host, path) for path in self.files]}

    def apply(self, host: Host, progress: Progress) -> None:
        for path, text in self.files.items():
            if text is None:
                host.remove(path)
            else:
                write_limits(host, path, text)
        # Running sessions get the new limits.
        reload_systemd(host)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        for image in record["files"]:
            restore_image(host, image)
            directory = Path(image["path"]).parent
            if "kind" not in image and not host.listdir(directory):
                host.remove(directory)

    @classmethod
    def settle(cls, host: Host, record: Record) -> None:
        reload_systemd(host)
