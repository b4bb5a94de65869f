"""Access."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict

from tljh.base.account_names import is_acceptable
from tljh.settings.declaration import Cost, Section, section, setting

_GROUP = re.compile(r"^[a-z_][a-z0-9_-]{0,31}$")


_FOLDER = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$")


_DIRECTORY = re.compile(r"^(/[^/\x00-\x1f:]+)+$")


def _user_name(name: str) -> str:
    if is_acceptable(name):
        return name
    if not name:
        raise ValueError("is empty, which no login name can be")
    if name != name.strip():
        raise ValueError(f"has a space at an end, which no login name can have: {name!r}")
    if ".." in name:
        raise ValueError(f"has two dots in a row, which no login name can have: {name!r}")
    if len(name) > 200:
        raise ValueError("is longer than the 200 characters that a login name can have")
    bad = re.search(r"[^\w.@+=~ -]", name)
    if bad:
        raise ValueError(f"has a character that no login name can have, {bad.group()!r}: {name!r}")
    raise ValueError(f"is not a name that somebody could log in with: {name!r}")


def _group_name(name: str) -> str:
    if not _GROUP.match(name):
        raise ValueError(
            f"is not the name of a Linux group (a-z, 0-9, - and _, at most 32): {name!r}"
        )
    return name


def _folder_name(name: str) -> str:
    if not _FOLDER.match(name):
        raise ValueError(f"is not a name of a folder (letters, digits, ., - and _): {name!r}")
    return name


def _directory(value: str) -> str:
    if not _DIRECTORY.match(value) or ".." in value.split("/"):
        raise ValueError(f"must be the absolute path of a directory, not {value!r}")
    return value


UserName = Annotated[str, AfterValidator(_user_name)]


# As JupyterHub knows people: it lowers what they log in with, and its lists.
Login = Annotated[UserName, AfterValidator(str.lower)]


GroupName = Annotated[str, AfterValidator(_group_name)]


FolderName = Annotated[str, AfterValidator(_folder_name)]


Directory = Annotated[str, AfterValidator(_directory)]


class ThrottleSettings(Section):
    """How many bad logins are let through before the hub answers 'wait' (429)."""

    enabled: bool = setting(True, help="Whether failed logins are counted.", cost=Cost.HUB_RESTART)
    attempts: int = setting(
        5,
        help="Failed logins of one name from one address within the window, after which it has "
        "to wait.",
        cost=Cost.HUB_RESTART,
        ge=1,
        le=1000,
    )
    attempts_anywhere: int = setting(
        30,
        help="The same from all addresses together; a user who logged in from an address before "
        "is not blocked there.",
        cost=Cost.HUB_RESTART,
        ge=1,
        le=100_000,
    )
    names_per_address: int = setting(
        50,
        help="Different names with failed logins from one address, after which names that never "
        "logged in from there have to wait; a classroom shares one address.",
        cost=Cost.HUB_RESTART,
        ge=1,
        le=100_000,
    )
    window_s: int = setting(
        600,
        help="Seconds for which a failed login counts.",
        cost=Cost.HUB_RESTART,
        ge=1,
        le=86_400,
    )


class AuthSettings(Section):
    """How people log in; `auth.<Class>.<trait>` is handed to that class as it is."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        strict=True,
        defer_build=True,
        json_schema_extra={
            "additionalProperties": False,
            "patternProperties": {
                "^[A-Z]": {
                    "type": "object",
                    "description": "Traits of the authenticator class of this name.",
                }
            },
        },
    )

    type: str = setting(
        "firstuseauthenticator.FirstUseAuthenticator",
        help="The authenticator: a short name such as github or native, or a class by its path.",
        cost=Cost.HUB_RESTART,
        example="github",
    )
    allow_all: bool | None = setting(
        None,
        help="Whether every user who can authenticate may log in; null for the authenticator's "
        "default: only users who are listed, added or members of allowed groups.",
        cost=Cost.HUB_RESTART,
        example="true",
    )
    allow_strangers: bool = setting(
        False,
        help="Whether allow_all may admit every account in the world at a public provider such "
        "as GitHub.",
        cost=Cost.HUB_RESTART,
    )
    session_days: float = setting(
        7.0,
        help="Days after which a user has to log in again.",
        cost=Cost.HUB_RESTART,
        example="1",
        ge=0.01,
        le=365,
    )
    throttle: ThrottleSettings = section(ThrottleSettings, help="How failed logins are throttled.")

    @property
    def classes(self) -> dict[str, dict[str, Any]]:
        """Traits by class name, as configured below `auth`."""
        return dict(self.__pydantic_extra__ or {})


class UsersSettings(Section):
    """Who may log in, who may not, who is an administrator."""

    allowed: list[Login] = setting(
        [],
        help="Users who may log in, in addition to the admins.",
        cost=Cost.HUB_RESTART,
        example="alice",
    )
    banned: list[Login] = setting(
        [], help="Users who may never log in.", cost=Cost.HUB_RESTART, example="mallory"
    )
    admin: list[Login] = setting(
        [],
        help="Admins: they manage the hub, and have sudo in their terminals.",
        cost=Cost.HUB_RESTART,
        example="alice",
    )
    extra_user_groups: dict[GroupName, list[Login]] = setting(
        {},
        help="Linux groups, each with the users whose accounts are in it.",
        cost=Cost.NEXT_SPAWN,
        example="{docker: [alice, bob]}",
    )
    accounts: Literal["managed", "existing"] = setting(
        "managed",
        help="managed makes an account jupyter-NAME for each user; existing uses the machine's "
        "own account NAME, and never makes, locks or removes one.",
        cost=Cost.HUB_RESTART,
        example="existing",
    )
    home_root: Directory = setting(
        "/home",
        help="Directory for home directories of new accounts; existing ones stay where they are.",
        cost=Cost.NEXT_SPAWN,
        example="/data/home",
    )
    skeleton: Directory | None = setting(
        None,
        help="Directory that a new home directory is a copy of; null for the system's, /etc/skel.",
        cost=Cost.NEXT_SPAWN,
        example="/srv/skeleton",
    )
    groups: list[GroupName] = setting(
        [],
        help="Linux groups that every user's account is in.",
        cost=Cost.NEXT_SPAWN,
        example="video",
    )
    shared_folders: dict[FolderName, GroupName] = setting(
        {},
        help="Folders below /srv/shared, each with the Linux group whose members edit it.",
        cost=Cost.NOTHING,
        example="{course: pupils}",
    )
