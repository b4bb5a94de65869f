"""Check of services, roles and scopes, before a hub starts that would end at once with them."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from tljh.base.errors import Finding
from tljh.base.paths import Paths
from tljh.base.tcp_sockets import find_listening_sockets, find_owner_processes
from tljh.base.well_known import HUB_UNIT
from tljh.hub.drop_in_changes import DropIns, find_place

_SERVICE_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
SHORTEST_TOKEN, LONGEST_TOKEN = 8, 64


def find_service_problems(c: Any, paths: Paths, drop_ins: DropIns) -> Iterator[Finding]:
    """Yield what JupyterHub would refuse at its start, or never run."""
    hub = {name: _resolve_edits(value) for name, value in c.JupyterHub.items()}
    services = [each for each in hub.get("services", ()) if isinstance(each, Mapping)]
    roles = [each for each in hub.get("load_roles", ()) if isinstance(each, Mapping)]
    place = find_place(drop_ins, "JupyterHub.services")
    for finding in _check_services(services, paths):
        yield Finding(finding.what, place, finding.why, finding.fix)
    names = {str(each.get("name")) for each in services}
    place = find_place(drop_ins, "JupyterHub.load_roles")
    scopes = _list_scopes(hub.get("custom_scopes", {}))
    for finding in (*_check_roles(roles, names), *_check_scopes(hub, roles, services, scopes)):
        yield Finding(finding.what, place, finding.why, finding.fix)


def _resolve_edits(value: Any) -> Any:
    """Return a trait's value; of edits such as `c.JupyterHub.services.append(…)`, their result."""
    from traitlets.config.loader import LazyConfigValue

    if not isinstance(value, LazyConfigValue):
        return value
    edits = value.to_dict()
    default: Any = [] if "update" not in edits else type(edits["update"])()
    return deepcopy(value).get_value(default)


def _check_services(services: Sequence[Mapping[str, Any]], paths: Paths) -> Iterator[Finding]:
    from jupyterhub.services.service import Service

    fields = sorted(Service.class_traits(input=True))
    names: set[str] = set()
    owners: dict[int, str] = {}
    for service in services:
        name = str(service.get("name", ""))
        if not _SERVICE_NAME.match(name):
            yield Finding(
                f"a service has the name {name!r}",
                why="a name is part of the service's address",
                fix="give it a name of letters, digits, ., - and _",
            )
            continue
        if name in names:
            yield Finding(f"there are two services {name}", fix="rename or remove one of them")
        names.add(name)
        for field in sorted(set(service) - set(fields)):
            near = get_close_matches(field, fields, 1)
            fix = f"did you mean {near[0]}?" if near else f"one of: {', '.join(fields)}"
            yield Finding(f"the service {name} has no setting {field}", fix=fix)
        yield from _check_token(name, service.get("api_token"))
        yield from _check_command(name, service, paths)
        yield from _check_port(name, service, owners)


def _check_token(name: str, token: Any) -> Iterator[Finding]:
    if token and not SHORTEST_TOKEN <= len(str(token)) <= LONGEST_TOKEN:
        yield Finding(
            f"the token of the service {name} has {len(str(token))} characters",
            why=f"JupyterHub takes {SHORTEST_TOKEN} to {LONGEST_TOKEN}",
            fix="make another one: openssl rand -hex 32",
        )


def _check_command(name: str, service: Mapping[str, Any], paths: Paths) -> Iterator[Finding]:
    command = service.get("command") or ()
    words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    # A path without a / at its beginning is one in the service's directory. The link to the hub
    # environment does not exist before the first installation is applied.
    is_relative = bool(words) and "/" in words[0] and not words[0].startswith("/")
    is_hubs = bool(words) and Path(words[0]).is_relative_to(paths.hub)
    if words and not is_relative and not is_hubs and not _is_executable(words[0]):
        yield Finding(
            f"the command of the service {name} is not there: {words[0]}",
            why="the hub would not find an executable file of this name",
            fix="write the path of the program, or install it",
        )
    cwd = service.get("cwd")
    if cwd and not Path(str(cwd)).is_dir():
        yield Finding(
            f"the directory of the service {name} is not there: {cwd}",
            fix="create it, or remove cwd",
        )


def _is_executable(program: str) -> bool:
    # A path stays as it is in a join.
    files = [Path(directory) / program for directory in os.get_exec_path()]
    return any(file.is_file() and os.access(file, os.X_OK) for file in files)


def _check_port(name: str, service: Mapping[str, Any], owners: dict[int, str]) -> Iterator[Finding]:
    """Report the port of a service that the hub starts, if another program has it."""
    url = urlparse(str(service.get("url") or ""))
    port = url.port if url.hostname in ("127.0.0.1", "localhost", "::1", "0.0.0.0") else None
    if port is None or not service.get("command"):
        return
    if port in owners:
        yield Finding(
            f"the services {owners[port]} and {name} both have the port {port}",
            fix="give one of them another port",
        )
    owners.setdefault(port, name)
    if _is_taken(port):
        yield Finding(
            f"the port {port} of the service {name} is in use by another program",
            fix=f"choose another port; which program has it: sudo ss -ltnp sport = :{port}",
        )


def _is_taken(port: int) -> bool:
    """Return whether a program listens on a port that is no service of the running hub."""
    sockets = find_listening_sockets([port])
    processes = find_owner_processes(sock.inode for sock in sockets).values()
    groups = [Path(f"/proc/{pid}/cgroup") for pid in processes]
    return bool(sockets) and not any(
        HUB_UNIT in group.read_text() for group in groups if group.exists()
    )


def _check_roles(
    roles: Sequence[Mapping[str, Any]], services: Collection[str]
) -> Iterator[Finding]:
    from jupyterhub.roles import _role_name_pattern

    names: set[str] = set()
    for role in roles:
        name = str(role.get("name", ""))
        if not _role_name_pattern.match(name):
            yield Finding(
                f"a role has the name {name!r}",
                why="names have 3 to 255 lower-case letters, digits, -, ., _ and ~, a letter first",
                fix="rename the role",
            )
        if name in names:
            yield Finding(f"there are two roles {name}", fix="merge them into one")
        names.add(name)
        for member in _list_items(role, "services"):
            if member not in services:
                near = get_close_matches(member, services, 1)
                yield Finding(
                    f"the role {name} names the service {member}, which does not exist",
                    fix=f"did you mean {near[0]}?"
                    if near
                    else "add it to JupyterHub.services, or remove it from the role",
                )
        fields = ("name", "description", "scopes", "users", "groups", "services")
        for field in sorted(set(role) - set(fields)):
            near = get_close_matches(field, fields, 1)
            fix = f"did you mean {near[0]}?" if near else f"one of: {', '.join(fields)}"
            yield Finding(f"the role {name} has no setting {field}", fix=fix)


def _list_scopes(custom_scopes: Mapping[str, Any]) -> frozenset[str]:
    from jupyterhub.scopes import scope_definitions

    return frozenset(scope_definitions) | frozenset(custom_scopes)


def _check_scopes(
    hub: Mapping[str, Any],
    roles: Sequence[Mapping[str, Any]],
    services: Sequence[Mapping[str, Any]],
    known_scopes: Collection[str],
) -> Iterator[Finding]:
    owners = [(f"the role {role.get('name')}", _list_items(role, "scopes")) for role in roles]
    owners += [
        (f"the service {service.get('name')}", _list_items(service, "oauth_client_allowed_scopes"))
        for service in services
    ]
    owners.append(("JupyterHub.extra_user_scopes", _list_items(hub, "extra_user_scopes")))
    for owner, scopes in owners:
        for scope in scopes:
            base = scope.partition("!")[0]
            if base in known_scopes:
                continue
            near = get_close_matches(base, known_scopes, 1)
            yield Finding(
                f"{owner} has the scope {scope}, which does not exist",
                fix=f"did you mean {near[0]}?"
                if near
                else "a new scope begins with custom: and is in JupyterHub.custom_scopes",
            )


def _list_items(values: Mapping[str, Any], key: str) -> list[str]:
    items = values.get(key)
    return [str(item) for item in items] if isinstance(items, (list, tuple, set)) else []
