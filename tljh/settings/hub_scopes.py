"""Scopes of JupyterHub's API: the names that roles and services may have. A test compares them.

The list is written down because importing JupyterHub takes longer than most commands.
"""

from __future__ import annotations

import re
from shlex import quote

from tljh.settings.keys import find_nearest

SCOPES = frozenset(
    {
        *("self", "inherit", "admin-ui", "shutdown", "proxy", "read:hub", "read:metrics"),
        *("admin:users", "admin:auth_state", "users", "delete:users", "list:users", "read:users"),
        *("read:users:name", "read:users:groups", "read:users:activity", "read:users:shares"),
        *("read:roles", "read:roles:users", "read:roles:services", "read:roles:groups"),
        *("users:activity", "users:shares", "admin:servers", "admin:server_state", "servers"),
        *("start:servers", "read:servers", "delete:servers", "tokens", "read:tokens"),
        *("admin:groups", "groups", "list:groups", "read:groups", "read:groups:name"),
        *("delete:groups", "groups:shares", "read:groups:shares", "shares", "read:shares"),
        *("admin:services", "list:services", "read:services", "read:services:name"),
        *("access:servers", "access:services"),
    }
)
CUSTOM_PREFIX = "custom:"

_FILTER = re.compile(r"^(user|server|group|service)(=.+)?$")
# The owner of a token or of a server; a group or a service must be named.
_BARE_FILTERS = ("user", "server", "service")


def find_scope_problem(scope: str, custom_scopes: frozenset[str]) -> tuple[str, str] | None:
    """Return what is wrong with a scope, and the fix; None for a scope that JupyterHub takes."""
    base, mark, restriction = scope.partition("!")
    if base not in SCOPES and base not in custom_scopes:
        near = find_nearest(base, SCOPES | custom_scopes)
        if near:
            return "does not exist", f"did you mean {near}{mark}{restriction}?"
        if base.startswith(CUSTOM_PREFIX):
            key = quote(f"custom_scopes.{base}")
            fix = f"sudo tljh-config set {key} '{{description: what it permits}}'"
            return "is not in custom_scopes", fix
        return "does not exist", "all scopes: docs/guides/services.md; your own begin with custom:"
    match = _FILTER.match(restriction) if mark else None
    if mark and (match is None or (match[2] is None and match[1] not in _BARE_FILTERS)):
        return (
            f"ends with !{restriction}, which restricts it to nothing",
            f"write {base}!user=NAME, !group=NAME, !server=USER/SERVER or !service=NAME",
        )
    return None
