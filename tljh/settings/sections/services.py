"""Settings of services, and of roles, groups and custom scopes, which give rights at the hub."""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from tljh.settings.declaration import Cost, Section, section, setting
from tljh.settings.sections.access import Directory, Login
from tljh.settings.sections.limits import Cpu, Memory
from tljh.settings.sections.proxy import Target
from tljh.settings.value_types import FilePath, Port, Seconds

# The account of a service is this and its name: 32 characters are the most that Linux takes.
ACCOUNT_PREFIX = "tljh-svc-"
LONGEST_NAME = 32 - len(ACCOUNT_PREFIX)

_SERVICE = re.compile(rf"^[a-z][a-z0-9_-]{{0,{LONGEST_NAME - 1}}}$")
# JupyterHub's own rule.
_ROLE = re.compile(r"^[a-z][a-z0-9_~.-]{1,253}[a-z0-9]$")
_CUSTOM_SCOPE = re.compile(r"^custom:[a-z0-9][a-z0-9_:*-]+[a-z0-9_*]$")
_GROUP = re.compile(r"^[^\s\x00-\x1f/!,=]([^\x00-\x1f/!,=]{0,253}[^\s\x00-\x1f/!,=])?$")
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_ACCOUNT = re.compile(r"^[a-z_][a-z0-9_-]{0,31}$")


def _check_service_name(name: str) -> str:
    if not _SERVICE.match(name):
        raise ValueError(
            f"must be a name of at most {LONGEST_NAME} characters a-z, 0-9, - and _, a letter "
            f"first, because it is part of an address and of an account: not {name!r}"
        )
    return name


def _check_role_name(name: str) -> str:
    if not _ROLE.match(name):
        raise ValueError(
            "must be a name of 3 to 255 characters a-z, 0-9, -, ., _ and ~, which begins with a "
            f"letter and ends with a letter or digit: not {name!r}"
        )
    return name


def _check_group_name(name: str) -> str:
    if not _GROUP.match(name):
        raise ValueError(f"must be the name of a group, without / ! , and =: not {name!r}")
    return name


def _check_custom_scope(name: str) -> str:
    if not _CUSTOM_SCOPE.match(name):
        raise ValueError(
            "must be custom: and at least three characters a-z, 0-9, _, :, * and -, such as "
            f"custom:grades:read, not {name!r}"
        )
    return name


def _check_variable(name: str) -> str:
    if not _VARIABLE.match(name):
        raise ValueError(f"must be the name of a variable such as DATABASE_HOST, not {name!r}")
    if name.startswith(("JUPYTERHUB_", "JPY_")):
        raise ValueError(f"is set by tljh, from the settings of the service: {name}")
    return name


def _check_variable_value(value: str) -> str:
    if re.search(r"[\x00-\x1f]", value):
        raise ValueError("must be text on one line")
    return value


def _check_word(word: str) -> str:
    if not word or re.search(r"[\x00-\x1f]", word):
        raise ValueError(f"must be a word of a command on one line, not {word!r}")
    return word


def _split_command(value: Any) -> Any:
    """Return the words of a command that is one text; any other value as it is.

    One text is what `tljh-config set` makes a list of one item of.
    """
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError:
        raise ValueError(f"has a quote without its end: {value!r}") from None


def _check_account(name: str) -> str:
    if not _ACCOUNT.match(name) or name == "root":
        raise ValueError(
            f"must be an account of the machine other than root, such as www-data, not {name!r}"
        )
    return name


def get_account(service: str) -> str:
    """Return the name of the account of a service for which the admin names none."""
    return f"{ACCOUNT_PREFIX}{service}"


ServiceName = Annotated[str, AfterValidator(_check_service_name)]
RoleName = Annotated[str, AfterValidator(_check_role_name)]
HubGroup = Annotated[str, AfterValidator(_check_group_name)]
CustomScope = Annotated[str, AfterValidator(_check_custom_scope)]
Variable = Annotated[str, AfterValidator(_check_variable)]
VariableValue = Annotated[str, AfterValidator(_check_variable_value)]
Word = Annotated[str, AfterValidator(_check_word)]
Command = Annotated[list[Word], BeforeValidator(_split_command)]
AccountName = Annotated[str, AfterValidator(_check_account)]


class CullSettings(Section):
    """Stopping of idle servers."""

    enabled: bool = setting(True, help="Whether idle servers are stopped.", cost=Cost.HUB_RESTART)
    timeout: Seconds = setting(
        3600,
        help="Seconds without activity after which a server is stopped.",
        cost=Cost.HUB_RESTART,
        example="2h",
        ge=1,
        le=31_536_000,
    )
    every: Seconds = setting(
        60,
        help="Seconds between two checks for idle servers.",
        cost=Cost.HUB_RESTART,
        ge=1,
        le=86_400,
    )
    concurrency: int = setting(
        5,
        help="Requests that the culler sends to the hub at the same time.",
        cost=Cost.HUB_RESTART,
        ge=1,
        le=100,
    )
    users: bool = setting(
        False,
        help="Whether idle users are also removed from the hub; their accounts and files stay.",
        cost=Cost.HUB_RESTART,
    )
    max_age: Seconds = setting(
        0,
        help="Seconds after which a server is stopped even if it is in use; 0 for never.",
        cost=Cost.HUB_RESTART,
        ge=0,
        le=31_536_000,
    )
    remove_named_servers: bool = setting(
        False,
        help="Whether a named server is also removed from the hub when it is stopped for idling.",
        cost=Cost.HUB_RESTART,
    )


class ServiceSettings(Section):
    """A program that talks to the hub: with `command` it runs here, without it elsewhere."""

    command: Command = setting(
        [],
        help="Program and its arguments, which a systemd unit runs under an own account. "
        "Programs of the hub environment need no path. Empty for a service that runs elsewhere.",
        cost=Cost.HUB_RESTART,
        example="[python, /srv/board/board.py]",
    )
    port: Port | None = setting(
        None,
        help="Port on 127.0.0.1 where the program listens; the hub's address /services/NAME/ "
        "leads there. null for a program without pages.",
        cost=Cost.HUB_RESTART,
        example="9100",
    )
    url: Target | None = setting(
        None,
        help="Address of a service that runs elsewhere; /services/NAME/ leads there.",
        cost=Cost.HUB_RESTART,
        example="http://10.0.0.7:8000",
    )
    display: bool = setting(
        True,
        help="Whether the menu of the hub's pages has the service, for users who may open it.",
        cost=Cost.HUB_RESTART,
    )
    admin_only: bool = setting(
        False,
        help="Whether only admins may open its pages.",
        cost=Cost.HUB_RESTART,
    )
    groups: list[HubGroup] = setting(
        [],
        help="Groups of the hub whose members may open its pages, in addition to admins; empty "
        "for all users.",
        cost=Cost.HUB_RESTART,
        example="course-a",
    )
    scopes: list[str] = setting(
        [],
        help="What the service itself may do at the hub's API, such as list:users.",
        cost=Cost.HUB_RESTART,
        example="list:users",
    )
    oauth_client_allowed_scopes: list[str] = setting(
        [],
        help="What the service may do for a user who has opened it; by default it learns the "
        "user's name and groups, and nothing else.",
        cost=Cost.HUB_RESTART,
        example="read:servers!user",
    )
    oauth_redirect_uri: str | None = setting(
        None,
        help="Where the hub sends users back after a login, if that is not below "
        "/services/NAME/oauth_callback.",
        cost=Cost.HUB_RESTART,
        example="https://board.example.org/oauth_callback",
    )
    oauth_no_confirm: bool = setting(
        True,
        help="Whether users are not asked if the service may know who they are.",
        cost=Cost.HUB_RESTART,
    )
    environment: dict[Variable, VariableValue] = setting(
        {},
        help="More variables for the program; secrets belong in environment_file.",
        cost=Cost.NOTHING,
        example="{COURSE: physics}",
    )
    environment_file: FilePath | None = setting(
        None,
        help="File with more variables (NAME=value, one a line), which only root needs to read.",
        cost=Cost.NOTHING,
        example="/root/board.env",
    )
    user: AccountName | None = setting(
        None,
        help="Account that the program runs as; null for its own, which can write only below "
        "/var/lib/tljh-services/NAME.",
        cost=Cost.NOTHING,
        example="www-data",
    )
    directory: Directory | None = setting(
        None,
        help="Working directory; null for /var/lib/tljh-services/NAME.",
        cost=Cost.NOTHING,
        example="/srv/board",
    )
    writable: list[Directory] = setting(
        [],
        help="Further directories that the program may write; their permissions decide as well.",
        cost=Cost.NOTHING,
        example="/srv/board/data",
    )
    memory: Memory = setting(
        "512M", help="Largest amount of memory; null for no limit.", cost=Cost.NOTHING, example="2G"
    )
    cpu: Cpu = setting(
        None,
        help="Largest number of processor cores; null for no limit.",
        cost=Cost.NOTHING,
        example="0.5",
        ge=0.01,
        le=4096,
    )
    tasks: int = setting(
        256,
        help="Largest number of processes and threads.",
        cost=Cost.NOTHING,
        ge=8,
        le=4_194_304,
    )
    start_timeout: Seconds = setting(
        30,
        help="Seconds within which a new or changed service must answer; otherwise the change is "
        "rolled back.",
        cost=Cost.NOTHING,
        ge=1,
        le=600,
    )

    @property
    def is_managed(self) -> bool:
        """Whether a unit of tljh runs the program."""
        return bool(self.command)

    @property
    def address(self) -> str | None:
        """The URL where the service answers; None for one without pages."""
        return f"http://127.0.0.1:{self.port}" if self.port else self.url

    @property
    def is_open(self) -> bool:
        """Whether every user may open its pages."""
        return not self.admin_only and not self.groups


class ServicesSettings(Section):
    """Services of the hub; any other name than `cull` is that of an admin's service."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, defer_build=True)
    __pydantic_extra__: dict[ServiceName, ServiceSettings] = Field(init=False)

    cull: CullSettings = section(CullSettings, help="Stopping of idle servers.")

    @property
    def own(self) -> dict[str, ServiceSettings]:
        """The services of the admin, by name."""
        return dict(self.__pydantic_extra__ or {})

    @property
    def managed(self) -> dict[str, ServiceSettings]:
        """The services that units of tljh run, by name."""
        return {name: service for name, service in self.own.items() if service.is_managed}


class RoleSettings(Section):
    """Rights at the hub's API, and who has them."""

    description: str = setting("", help="What the role is for.", cost=Cost.HUB_RESTART)
    scopes: list[str] = setting(
        [],
        help="What its members may do, such as read:users!group=course-a.",
        cost=Cost.HUB_RESTART,
        example="list:users",
    )
    users: list[Login] = setting(
        [], help="Users who have the role.", cost=Cost.HUB_RESTART, example="alice"
    )
    groups: list[HubGroup] = setting(
        [], help="Groups whose members have the role.", cost=Cost.HUB_RESTART, example="tutors"
    )
    services: list[str] = setting(
        [], help="Services that have the role.", cost=Cost.HUB_RESTART, example="board"
    )


class CustomScopeSettings(Section):
    """A scope that services define, for rights that the hub does not know."""

    description: str = setting("", help="What the scope permits.", cost=Cost.HUB_RESTART)
    subscopes: list[CustomScope] = setting(
        [],
        help="Custom scopes that it includes.",
        cost=Cost.HUB_RESTART,
        example="custom:grades:read",
    )
