"""Archives of the homes of users who left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.host.home_archive import archive_home
from tljh.host.interface import HostReader
from tljh.operations.user_changes import HubUsers


@dataclass(frozen=True)
class HomeArchive:
    """An archived home: `name` is ACCOUNT-DATE-TIME.tar.gz."""

    name: str
    path: Path
    size_bytes: int


def list_archives(host: HostReader, paths: Paths) -> list[HomeArchive]:
    """Return all archives, by their names."""
    archives = []
    for name in host.listdir(paths.archived_homes):
        path = paths.archived_homes / name
        info = host.info(path)
        if info is not None and info.kind == "file":
            archives.append(HomeArchive(name, path, info.size_bytes))
    return archives


def list_left_homes(users: HubUsers) -> list[str]:
    """Return users without access who still have a home."""
    return [
        user.name
        for user in users.directory.users.values()
        if user.access == "none" and user.home and users.host.info(Path(user.home))
    ]


def archive_homes(users: HubUsers, names: Sequence[str]) -> list[Path]:
    """Archive and delete the homes of removed users. Raises TljhError for one who has access."""
    records = [users.named(name) for name in names]
    for record in records:
        if record.access != "none":
            raise TljhError(
                f"{record.name} still has access, so the home stays",
                why=f"access: {record.access}",
                fix=f"sudo tljh user remove --delete-home {quote(record.name)}",
            )
    archives = []
    for record in records:
        if record.account is None or record.home is None:
            continue
        directory = users.paths.archived_homes
        archive = archive_home(users.host, record.account, Path(record.home), directory)
        archives += [archive] if archive else []
    return archives
