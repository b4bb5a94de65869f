"""Contradictions between services, roles, groups, and the other settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from shlex import quote
from typing import TYPE_CHECKING

from tljh.base.well_known import AWAY_PAGE_PORT, CULLER, CULLER_ROLE, HUB_PORT
from tljh.settings.declaration import KeyPath, Problem
from tljh.settings.hub_scopes import find_scope_problem
from tljh.settings.keys import find_nearest, format_key
from tljh.settings.sections.services import ServiceSettings

if TYPE_CHECKING:
    from tljh.settings.root import Config

# Names of roles and services that tljh makes itself.
OWN_PREFIX = "tljh"
LOWEST_PORT = 1024
FREE_PORT = 9100

# What only a unit of tljh follows.
_OF_COMMAND = (
    *("environment", "environment_file", "user", "directory", "writable"),
    *("memory", "cpu", "tasks", "start_timeout"),
)


def find_contradictions(config: Config) -> Iterator[Problem]:
    """Yield what is wrong with services, roles, groups and custom scopes together."""
    for name, service in config.services.own.items():
        yield from _check_name(config, name)
        yield from _check_kind(name, service)
        yield from _check_members(
            config, ("services", name, "groups"), service.groups, list_groups(config)
        )
        for key in ("scopes", "oauth_client_allowed_scopes"):
            yield from _check_scopes(config, ("services", name, key), getattr(service, key))
    yield from _check_ports(config)
    yield from _check_roles(config)
    yield from _check_custom_scopes(config)
    yield from _check_authenticator(config)


def list_services(config: Config) -> list[str]:
    """Return the names of all services in config.yaml, and of tljh's own that it may name."""
    return [*config.services.own, *_list_class_services(config), CULLER]


def _list_class_services(config: Config) -> list[str]:
    services = config.traitlets.get("JupyterHub", {}).get("services") or []
    return [str(each.get("name")) for each in services if isinstance(each, dict)]


def list_groups(config: Config) -> list[str] | None:
    """Return the groups of the hub in config.yaml; None where the authenticator makes them."""
    if _has_trait(config, "manage_groups"):
        return None
    loaded = config.traitlets.get("JupyterHub", {}).get("load_groups") or {}
    return [*config.groups, *(map(str, loaded) if isinstance(loaded, dict) else ())]


def _has_trait(config: Config, trait: str) -> bool:
    sections = [*config.auth.classes.values(), *config.traitlets.values()]
    return any(section.get(trait) is True for section in sections)


def _check_name(config: Config, name: str) -> Iterator[Problem]:
    path = ("services", name)
    if name.startswith(OWN_PREFIX) or name == CULLER:
        yield Problem(
            path,
            f"services.{name} has a name that tljh keeps for itself",
            fix="use another name, which does not begin with tljh",
            at_key=True,
        )
    elif name in _list_class_services(config):
        yield Problem(
            path,
            f"there are two services {name}: services.{name}, and one in JupyterHub.services",
            fix="remove the one in JupyterHub.services",
            at_key=True,
            severity="incomplete",
        )


def _check_kind(name: str, service: ServiceSettings) -> Iterator[Problem]:
    path: KeyPath = ("services", name)
    key = format_key(path)
    if service.is_managed and service.url:
        yield Problem(
            (*path, "url"),
            f"{key}.url is set, and {key}.command as well",
            why="url is for a service that runs elsewhere; one with a command has a port",
            fix=f"sudo tljh-config unset {quote(f'{key}.url')}; "
            f"sudo tljh-config set {quote(f'{key}.port')} {quote(str(FREE_PORT))}",
            severity="incomplete",
        )
    elif service.port and not service.is_managed:
        yield Problem(
            (*path, "port"),
            f"{key}.port is set, but {key}.command is not",
            why="port is where a program listens that tljh starts",
            fix=f"sudo tljh-config set {quote(f'{key}.command')} '[PROGRAM, ARGUMENT]'; for one "
            f"that is started otherwise: sudo tljh-config set {quote(f'{key}.url')} "
            f"{quote(str(service.address))}",
            severity="incomplete",
        )
    elif not service.is_managed:
        for field in sorted(service.model_fields_set.intersection(_OF_COMMAND)):
            yield Problem(
                (*path, field),
                f"{key}.{field} does nothing, because {key}.command is not set",
                fix=f"sudo tljh-config set {quote(f'{key}.command')} '[PROGRAM, ARGUMENT]'",
                severity="incomplete",
                at_key=True,
            )
    if service.admin_only and service.groups:
        yield Problem(
            (*path, "admin_only"),
            f"{key}.admin_only and {key}.groups are both set",
            why="admins may open it in any case; admin_only means nobody else",
            fix=f"sudo tljh-config unset {quote(f'{key}.admin_only')}",
            severity="incomplete",
        )


def _check_ports(config: Config) -> Iterator[Problem]:
    owners = {
        HUB_PORT: "the hub's port",
        AWAY_PAGE_PORT: "a port of the proxy",
        config.http.port: "http.port",
        config.https.port: "https.port",
        config.traefik_api.port: "traefik_api.port",
    }
    ports = {service.port for service in config.services.own.values()}
    for name, service in config.services.managed.items():
        path: KeyPath = ("services", name, "port")
        port = service.port
        if port is None:
            continue
        free = next(n for n in range(FREE_PORT, FREE_PORT + 1000) if n not in ports)
        fix = f"sudo tljh-config set {quote(f'services.{name}.port')} {quote(str(free))}"
        if port in owners:
            what = f"services.{name}.port is {port}, the same as {owners[port]}"
            yield Problem(path, what, fix=fix)
        elif port < LOWEST_PORT:
            yield Problem(
                path,
                f"services.{name}.port is {port}, where only root may listen",
                why="the service runs under an account without rights",
                fix=fix,
            )
        owners.setdefault(port, f"services.{name}.port")


def _check_scopes(config: Config, path: KeyPath, scopes: Iterable[str]) -> Iterator[Problem]:
    custom = frozenset(config.custom_scopes) | frozenset(
        config.traitlets.get("JupyterHub", {}).get("custom_scopes") or ()
    )
    for index, scope in enumerate(scopes):
        problem = find_scope_problem(scope, custom)
        if problem is not None:
            what, fix = problem
            yield Problem((*path, index), f"the scope {scope} of {format_key(path)} {what}", fix)
            continue
        kind, _, name = scope.partition("!")[2].partition("=")
        existing = list_groups(config) if kind == "group" else None
        existing = list_services(config) if kind == "service" else existing
        if name and existing is not None and name not in existing:
            yield _describe_missing(kind, name, existing, (*path, index), f"the scope {scope}")


def _check_members(
    config: Config, path: KeyPath, names: Iterable[str], existing: list[str] | None
) -> Iterator[Problem]:
    kind = str(path[-1]).removesuffix("s")
    for index, name in enumerate(names):
        if existing is not None and name not in existing:
            if kind == "group" and name in config.users.extra_user_groups:
                members = quote(f"[{', '.join(config.users.extra_user_groups[name])}]")
                yield Problem(
                    (*path, index),
                    f"{format_key(path)} names {name}, which is a group of Linux accounts only",
                    why="the hub has other groups, in the section groups",
                    fix=f"sudo tljh-config set {quote(format_key(('groups', name)))} {members}",
                )
                continue
            yield _describe_missing(kind, name, existing, (*path, index), format_key(path))


def _describe_missing(
    kind: str, name: str, existing: Iterable[str], path: KeyPath, where: str
) -> Problem:
    near = find_nearest(name, existing)
    example = "[]" if kind == "group" else "{scopes: []}"
    create = f"sudo tljh-config set {quote(format_key((f'{kind}s', name)))} {quote(example)}"
    return Problem(
        path,
        f"{where} names the {kind} {name}, which does not exist",
        fix=f"did you mean {near}?" if near else create,
        severity="incomplete",
    )


def _check_roles(config: Config) -> Iterator[Problem]:
    for name, role in config.roles.items():
        path: KeyPath = ("roles", name)
        if name.startswith(OWN_PREFIX) or name == CULLER_ROLE:
            yield Problem(
                path,
                f"{format_key(path)} has a name that tljh keeps for itself",
                fix="use another name, which does not begin with tljh",
                at_key=True,
            )
        if name == "admin" and {"scopes", "description"} & role.model_fields_set:
            yield Problem(
                path,
                "the rights of the role admin cannot be changed",
                why="JupyterHub does not start with it",
                fix="make a role with another name; to make a user an admin: "
                "sudo tljh-config add-item users.admin NAME",
                at_key=True,
            )
        if name == "user" and role.scopes and "self" not in role.scopes:
            yield Problem(
                (*path, "scopes"),
                "roles.user.scopes has no self, so no user could start a server",
                fix="sudo tljh-config add-item roles.user.scopes self",
                severity="incomplete",
            )
        yield from _check_scopes(config, (*path, "scopes"), role.scopes)
        yield from _check_members(config, (*path, "groups"), role.groups, list_groups(config))
        yield from _check_members(config, (*path, "services"), role.services, list_services(config))


def _check_custom_scopes(config: Config) -> Iterator[Problem]:
    for name, scope in config.custom_scopes.items():
        for index, part in enumerate(scope.subscopes):
            if part not in config.custom_scopes:
                path: KeyPath = ("custom_scopes", name, "subscopes")
                near = find_nearest(part, config.custom_scopes)
                yield Problem(
                    (*path, index),
                    f"{format_key(path)} names {part}, which is not in custom_scopes",
                    fix=f"did you mean {near}?" if near else "add it to custom_scopes",
                    severity="incomplete",
                )


def _check_authenticator(config: Config) -> Iterator[Problem]:
    if config.groups and _has_trait(config, "manage_groups"):
        yield Problem(
            ("groups",),
            "groups is set, but the authenticator makes the hub's groups (manage_groups)",
            why="JupyterHub does not start with both",
            fix="sudo tljh-config unset groups",
            at_key=True,
            severity="incomplete",
        )
    if _has_trait(config, "manage_roles"):
        for name, role in config.roles.items():
            if role.users or role.groups:
                yield Problem(
                    ("roles", name),
                    f"roles.{name} has users or groups, but the authenticator gives roles "
                    "(manage_roles)",
                    why="JupyterHub does not start with both",
                    fix=f"sudo tljh-config unset {quote(f'roles.{name}.users')}; "
                    f"sudo tljh-config unset {quote(f'roles.{name}.groups')}",
                    at_key=True,
                    severity="incomplete",
                )
