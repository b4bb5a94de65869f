"""Settings of backups: where they go, when, how many are kept, and what is left out."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from tljh.settings.declaration import Cost, Section, section, setting

_FORMS = "a directory (/mnt/backup), sftp:USER@HOST:/path, rest:https://…, s3:https://…/bucket"


def _check_repository(value: str) -> str:
    is_directory = value.startswith("/") and len(value.strip("/")) > 0
    is_remote = re.match(r"(sftp|rest|s3|b2|azure|gs|swift|rclone):.", value)
    if not (is_directory or is_remote) or not value.isprintable():
        raise ValueError(f"must be {_FORMS}")
    return value


Repository = Annotated[str, AfterValidator(_check_repository)]


class KeptBackups(Section):
    """How many backups are kept; older ones are forgotten after each run."""

    daily: int = setting(7, help="Newest backups of so many days.", cost=Cost.LIVE, ge=1, le=1000)
    weekly: int = setting(5, help="Newest backups of so many weeks.", cost=Cost.LIVE, ge=0, le=1000)
    monthly: int = setting(
        12, help="Newest backups of so many months.", cost=Cost.LIVE, ge=0, le=1000
    )


class BackupSettings(Section):
    """Encrypted backups by restic."""

    repository: Repository | None = setting(
        None,
        help="Where backups go: a directory, or a repository of restic such as sftp:, rest: or "
        "s3:. Set it by tljh backup setup, which also creates it.",
        cost=Cost.LIVE,
        example="/mnt/backup",
    )
    secrets: dict[str, str] = setting(
        {},
        help="Variables with credentials that restic reads, such as AWS_ACCESS_KEY_ID.",
        cost=Cost.LIVE,
        secret=True,
    )
    schedule: Literal["hourly", "daily", "weekly"] = setting(
        "daily", help="How often a backup is made.", cost=Cost.LIVE, example="hourly"
    )
    homes: bool = setting(
        True, help="Whether users' homes and shared folders are in backups.", cost=Cost.LIVE
    )
    exclude: list[str] = setting(
        [],
        help="Names and patterns of files that are left out, in addition to caches and trash.",
        cost=Cost.LIVE,
        example="*.iso",
    )
    keep: KeptBackups = section(KeptBackups, help="How many backups are kept.")
