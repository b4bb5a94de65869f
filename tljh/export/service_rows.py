"""Rows of services, roles, scopes, and of the culler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tljh.base.progress import format_count
from tljh.base.well_known import CULLER, CULLER_ROLE, LAUNCH_SCOPE
from tljh.export.row import Row, rows_without
from tljh.export.scopes import convert_scope
from tljh.export.values import Values

if TYPE_CHECKING:
    from tljh.export.hub_state import ExportedHub

# The chart's schema takes these names below hub.services for fields of one service.
_TAKEN = {"url", "name", "admin", "command", "api_token", "apiToken"}
# Of a service as JupyterHub has it: what runs a program on this machine.
_PROGRAM = ("command", "cwd", "user", "environment")


def _put_cull(hub: ExportedHub, values: Values) -> None:
    cull = hub.config.services.cull
    values.put(
        "cull",
        {
            "enabled": cull.enabled,
            "users": cull.users,
            "adminUsers": True,
            "removeNamedServers": cull.remove_named_servers,
            "timeout": cull.timeout,
            "every": cull.every,
            "concurrency": cull.concurrency,
            "maxAge": cull.max_age,
        },
    )


def get_service_name(name: str) -> str:
    """Return the name that a service has below hub.services."""
    return f"{name}-service" if name in _TAKEN else name


def _put_services(hub: ExportedHub, values: Values) -> None:
    managed = hub.config.services.managed
    for service in hub.trait("JupyterHub", "services", ()):
        old_name = str(service.get("name"))
        if old_name == CULLER:
            continue
        name = get_service_name(old_name)
        fields = {key: value for key, value in service.items() if key not in ("name", *_PROGRAM)}
        if old_name in managed and "url" in fields:
            # The program needs a Deployment and a Service; underscores are no part of DNS names.
            fields["url"] = f"http://{name.replace('_', '-')}:{managed[old_name].port}"
        token = fields.pop("api_token", None) or hub.service_tokens.get(old_name)
        if "oauth_client_allowed_scopes" in fields:
            fields["oauth_client_allowed_scopes"] = _convert_scopes(
                fields["oauth_client_allowed_scopes"]
            )
        values.put(("hub", "services", name), fields)
        if token:
            values.put(("hub", "services", name, "apiToken"), token, is_secret=True)
        if old_name in managed or "command" in service:
            values.decisions.append(
                f"the service {old_name} is a program on this machine: run it as a Deployment with "
                f"a Service named {name.replace('_', '-')}, with the token of secrets.yaml in "
                "JUPYTERHUB_API_TOKEN."
            )
        if name != old_name:
            values.decisions.append(
                f"the service {old_name} is named {name}: the chart does not take the old name. "
                f"Its pages are below /services/{name}/."
            )


def _put_roles(hub: ExportedHub, values: Values) -> None:
    roles: dict[str, dict[str, Any]] = {}
    for role in hub.trait("JupyterHub", "load_roles", ()):
        if role.get("name") != CULLER_ROLE:
            roles[str(role["name"])] = _convert_role(role)
    open_scopes = _convert_scopes(hub.trait("JupyterHub", "extra_user_scopes", ()))
    if open_scopes and "scopes" not in roles.get("user", {}):
        # JupyterHub 5.5 has no extra_user_scopes: the role of all users is written whole.
        scopes = ["self", *open_scopes]
        roles["user"] = {**roles.get("user", {}), "name": "user", "scopes": scopes}
    if hub.widened_tokens:
        values.decisions.append(
            f"{format_count(hub.widened_tokens, 'token')} with the scope start:servers may also "
            "stop servers on Kubernetes: JupyterHub 5.5 has servers in its place. Revoke those "
            "that must not."
        )
    for name, role in sorted(roles.items()):
        values.put(("hub", "loadRoles", name), role)


def _convert_role(role: Mapping[str, Any]) -> dict[str, Any]:
    converted = dict(role)
    if "scopes" in converted:
        converted["scopes"] = _convert_scopes(converted["scopes"])
    if "services" in converted:
        converted["services"] = [get_service_name(name) for name in converted["services"]]
    return converted


def _convert_scopes(scopes: Any) -> list[str]:
    """Return scopes that JupyterHub 5.5 has, with the services' new names."""
    converted = []
    for scope in scopes:
        before, separator, service = convert_scope(str(scope)).partition("!service=")
        converted.append(f"{before}{separator}{get_service_name(service)}")
    return list(dict.fromkeys(converted))


def _put_custom_scopes(hub: ExportedHub, values: Values) -> None:
    scopes = {
        name: scope
        for name, scope in hub.trait("JupyterHub", "custom_scopes", {}).items()
        if name != LAUNCH_SCOPE
    }
    if scopes:
        values.put("hub.config.JupyterHub.custom_scopes", scopes)


_SERVICE = "services.NAME"
_PROGRAM_NOTE = "the chart runs no other programs: write a Deployment (see the decisions)"
ROWS = (
    *(
        Row(f"services.cull.{key}", tuple(f"cull.{name}" for name in to.split()), note, _put_cull)
        for key, to, note in (
            ("enabled", "enabled", ""),
            ("timeout", "timeout", ""),
            ("every", "every", ""),
            ("concurrency", "concurrency", ""),
            (
                "users",
                "users adminUsers",
                "admins' servers are stopped, too (cull.adminUsers), as here",
            ),
            ("max_age", "maxAge", ""),
            ("remove_named_servers", "removeNamedServers", ""),
        )
    ),
    Row(
        f"{_SERVICE}.url",
        (f"hub.{_SERVICE}",),
        "names that the chart needs itself get -service after them; the token is in secrets.yaml",
        _put_services,
    ),
    Row(
        f"{_SERVICE}.port",
        (f"hub.{_SERVICE}",),
        "as http://NAME:PORT, which a Service of the cluster has to serve",
        _put_services,
    ),
    *(
        Row(f"{_SERVICE}.{key}", (f"hub.{_SERVICE}",), "", _put_services)
        for key in (
            *("display", "oauth_client_allowed_scopes", "oauth_redirect_uri", "oauth_no_confirm"),
        )
    ),
    Row(f"{_SERVICE}.scopes", ("hub.loadRoles.NAME",), "the role tljh-service-NAME", _put_roles),
    Row(f"{_SERVICE}.groups", ("hub.loadRoles.NAME",), "the role tljh-open-NAME", _put_roles),
    Row(
        f"{_SERVICE}.admin_only",
        ("hub.loadRoles.NAME",),
        "the role user has no scope for it",
        _put_roles,
    ),
    *rows_without(
        _PROGRAM_NOTE,
        *(
            f"{_SERVICE}.{key}"
            for key in (
                *("command", "environment", "environment_file", "user", "directory"),
                *("writable", "memory", "cpu", "tasks", "start_timeout"),
            )
        ),
    ),
    *(
        Row(
            f"roles.NAME.{key}",
            ("hub.loadRoles.NAME",),
            "start:servers becomes servers, which JupyterHub 5.5 has" if key == "scopes" else "",
            _put_roles,
        )
        for key in ("description", "scopes", "users", "groups", "services")
    ),
    *(
        Row(
            f"custom_scopes.NAME.{key}",
            ("hub.config.JupyterHub.custom_scopes",),
            "",
            _put_custom_scopes,
        )
        for key in ("description", "subscopes")
    ),
)
