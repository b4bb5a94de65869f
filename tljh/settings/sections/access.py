"""Settings of logins, users, admins, and their Linux accounts."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict

from tljh.base.account_names import is_acceptable
from tljh.settings.declaration import Cost, Section, section, setting
from tljh.settings.value_types import Days, Seconds

_GROUP = re.compile(r"^[a-z_][a-z0-9_-]{0,31}$")


_FOLDER = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$")


_DIRECTORY = re.compile(r"^(/[^/\x00-\x1f:]+)+$")


def _check_user_name(name: str) -> str:
    if is_acceptable(name):
        return name
    if not name:
        raise ValueError("must not be empty")
    if name != name.strip():
        raise ValueError(f"must not begin or end with a space: {name!r}")
    if ".." in name:
        raise ValueError(f"must not contain two dots in a row: {name!r}")
    if len(name) > 200:
        raise ValueError("must have at most 200 characters")
    match = re.search(r"[^\w.@+=~ -]", name)
    if match:
        raise ValueError(f"must not contain {match.group()!r}: {name!r}")
    raise ValueError(f"must be a login name, not {name!r}")


def _check_group_name(name: str) -> str:
    if not _GROUP.match(name):
        raise ValueError(
            f"must be a Linux group name (a-z, 0-9, - and _; at most 32), not {name!r}"
        )
    return name


def _check_folder_name(name: str) -> str:
    if not _FOLDER.match(name):
        raise ValueError(f"must be a folder name (letters, digits, ., - and _), not {name!r}")
    return name


def _check_directory(value: str) -> str:
    if not _DIRECTORY.match(value) or ".." in value.split("/"):
        raise ValueError(f"must be the absolute path of a directory, not {value!r}")
    return value


def _lower(name: str) -> str:
    return name.lower()


UserName = Annotated[str, AfterValidator(_check_user_name)]


# JupyterHub changes login names to lower case, at logins and in its lists; so do we.
# A function of ours: pydantic reads the signature of a built-in like str.lower from its docstring,
# which takes longer than the rest of this section.
Login = Annotated[UserName, AfterValidator(_lower)]


GroupName = Annotated[str, AfterValidator(_check_group_name)]


FolderName = Annotated[str, AfterValidator(_check_folder_name)]


Directory = Annotated[str, AfterValidator(_check_directory)]


class ThrottleSettings(Section):
    """Failed logins after which the hub answers further attempts with 429 (wait)."""

    enabled: bool = setting(True, help="Whether failed logins are limited.", cost=Cost.HUB_RESTART)
    attempts: int = setting(
        5,
        help="Failed logins with one name from one address, after which more attempts must wait.",
        cost=Cost.HUB_RESTART,
        ge=1,
        le=1000,
    )
    attempts_anywhere: int = setting(
        30,
        help="Failed logins with one name from all addresses together, after which attempts must "
        "wait; addresses from which that user has logged in before are not affected.",
        cost=Cost.HUB_RESTART,
        ge=1,
        le=100_000,
    )
    names_per_address: int = setting(
        50,
        help="Different names with failed logins from one address, after which users who have "
        "never logged in from it must wait; a classroom shares one address.",
        cost=Cost.HUB_RESTART,
        ge=1,
        le=100_000,
    )
    window_s: Seconds = setting(
        600,
        help="Seconds for which a failed login counts.",
        cost=Cost.HUB_RESTART,
        ge=1,
        le=86_400,
    )


class AuthSettings(Section):
    """How users log in; `auth.<Class>.<trait>` sets a trait of that class."""

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
                    "description": "Traits of the authenticator class with this name.",
                }
            },
        },
    )

    type: str = setting(
        "firstuseauthenticator.FirstUseAuthenticator",
        help="Authenticator: a short name such as github or native, or the path of a class.",
        cost=Cost.HUB_RESTART,
        example="github",
    )
    allow_all: bool | None = setting(
        None,
        help="Whether every user whom the authenticator accepts may log in; null for the default "
        "of the authenticator: usually only listed users and members of allowed groups.",
        cost=Cost.HUB_RESTART,
        example="true",
    )
    allow_strangers: bool = setting(
        False,
        help="Whether allow_all is accepted with a public provider such as GitHub, where it allows "
        "all account holders in the world.",
        cost=Cost.HUB_RESTART,
    )
    session_days: Days = setting(
        7.0,
        help="Days after which a user has to log in again.",
        cost=Cost.HUB_RESTART,
        example="1",
        ge=0.01,
        le=365,
    )
    token_days: Days | None = setting(
        None,
        help="Longest time for which a token for the hub's API may be valid; tokens without an end "
        "are refused then. null for no limit; tokens that exist are not affected.",
        cost=Cost.HUB_RESTART,
        example="90",
        ge=0.01,
        le=3650,
    )
    throttle: ThrottleSettings = section(
        ThrottleSettings, help="Limits on failed logins, against guessing of passwords."
    )

    @property
    def classes(self) -> dict[str, dict[str, Any]]:
        """Traits by class name, of the sections below `auth`."""
        return dict(self.__pydantic_extra__ or {})


class UsersSettings(Section):
    """Users, admins, and their Linux accounts."""

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
        help="Linux groups, each with the users whose accounts are members.",
        cost=Cost.NEXT_SPAWN,
        example="{video: [alice, bob]}",
    )
    accounts: Literal["managed", "existing"] = setting(
        "managed",
        help="managed creates an account jupyter-NAME for each user; existing uses the account "
        "NAME of the machine, and never creates, locks or removes one.",
        cost=Cost.HUB_RESTART,
        example="existing",
    )
    home_root: Directory = setting(
        "/home",
        help="Directory for the homes of new accounts; existing homes stay where they are.",
        cost=Cost.NEXT_SPAWN,
        example="/data/home",
    )
    skeleton: Directory | None = setting(
        None,
        help="Directory whose content is copied into a new home; null for /etc/skel.",
        cost=Cost.NEXT_SPAWN,
        example="/srv/skeleton",
    )
    groups: list[GroupName] = setting(
        [],
        help="Linux groups that every user's account joins.",
        cost=Cost.NEXT_SPAWN,
        example="video",
    )
    shared_folders: dict[FolderName, GroupName] = setting(
        {},
        help="Folders in /srv/shared, each with the Linux group whose members can edit it.",
        cost=Cost.NOTHING,
        example="{course: pupils}",
    )
    ssh: Literal["admins", "sftp", "shell", "none"] = setting(
        "admins",
        help="Who may log in with SSH: admins only; sftp: users may copy files, and nothing else; "
        "shell: users get a shell outside their server, with its limits; none: no user of the hub, "
        "admins included. Accounts that the hub does not manage are not affected.",
        cost=Cost.NOTHING,
        example="sftp",
    )
    user_units: bool = setting(
        False,
        help="Whether users may have their own systemd units, which run outside their servers "
        "with the same limits, and after logout with `loginctl enable-linger`.",
        cost=Cost.NOTHING,
    )
