"""One user in detail: what the directory of users has, and the size of the home directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tljh.host.interface import HostReader
from tljh.hub.user_directory import UserRecord
from tljh.operations.user_changes import HubUsers


@dataclass(frozen=True)
class UserDetails:
    """A user, with the bytes that the home directory has and may have; None where unknown."""

    user: UserRecord
    home_bytes: int | None
    limit_bytes: int | None


def read_user_details(users: HubUsers, name: str) -> UserDetails:
    """Return the details of a user. Raises TljhError for an unknown one."""
    host = users.host
    user = users.named(name)
    size_bytes = _measure_directory(host, user.home) if user.home else None
    account = host.user(user.account or "")
    quota = host.disk_quota(Path(account.home), account.uid) if account else None
    return UserDetails(user, size_bytes, quota.limit_bytes if quota else None)


def _measure_directory(host: HostReader, directory: str) -> int | None:
    du = host.query(["du", "--summarize", "--one-file-system", "--block-size=1", directory])
    number = du.out.split("\t")[0]
    return int(number) if number.isdigit() else None
