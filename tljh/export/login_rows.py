"""Rows of logins, users and groups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tljh.export.row import Row, rows_without
from tljh.export.values import Values
from tljh.settings.derived import keeps_passwords, uses_first_use
from tljh.settings.login_providers import find_provider

if TYPE_CHECKING:
    from tljh.export.hub_state import ExportedHub

LIMITS_GROUP = "limits-of-"

# Where the pod of the hub finds the hashes that were copied to it.
PASSWORDS = "passwords.json"


def _get_password_filler() -> str:
    """Return the code by which the chart's hub takes passwords over."""
    return """\
def _fill_passwords():
    # Passwords of users who are not in the file yet; those that were chosen here stay.
    import dbm
    import json
    import os

    source = "/srv/jupyterhub/passwords.json"
    if not os.path.exists(source):
        return
    with open(source) as file:
        hashes = json.load(file)
    with dbm.open("/srv/jupyterhub/passwords.dbm", "c", 0o600) as store:
        for name, hashed in hashes.items():
            if name.encode() not in store:
                store[name.encode()] = hashed.encode()


_fill_passwords()
"""


# Authenticators without a short name in JupyterHub.
_CLASSES = {"lti13": "ltiauthenticator.lti13.auth.LTI13Authenticator"}


def _put_login(hub: ExportedHub, values: Values) -> None:
    values.put("hub.config.JupyterHub.authenticator_class", _choose_class(hub, values))
    values.put("hub.cookieSecret", hub.cookie_secret, is_secret=True)
    for trait in ("cookie_max_age_days", "token_expires_in_max_seconds"):
        value = hub.trait("JupyterHub", trait)
        if value is not None:
            values.put(("hub", "config", "JupyterHub", trait), value)
    if uses_first_use(hub.config):
        values.put(("hub", "extraConfig", "00-first-use-passwords"), _get_password_filler())
        if hub.config.database.url is not None:
            # Without SQLite, the pod has no directory that outlives it.
            claim = {"name": "passwords", "persistentVolumeClaim": {"claimName": "hub-passwords"}}
            mount = {"name": "passwords", "mountPath": "/srv/jupyterhub"}
            values.put("hub.extraVolumes", [claim])
            values.put("hub.extraVolumeMounts", [mount])


def _choose_class(hub: ExportedHub, values: Values) -> str:
    auth_type = hub.config.auth.type
    provider = find_provider(auth_type)
    if provider is None:
        values.decisions.append(
            f"the chart's hub has no {auth_type}: make an image of the hub with its package, and "
            "name it in hub.image."
        )
        return auth_type.replace(":", ".")
    if provider.name == "pam":
        values.decisions.append(
            "no user can log in yet: passwords of this machine's accounts (PAM) do not go along. "
            "Choose another way in hub.config.JupyterHub.authenticator_class, in place of null."
        )
        return "null"
    if provider.callback is not None:
        values.decisions.append(
            f"tell {provider.title} the address of the new hub, if that changes: its callback URL "
            f"is https://HOST{hub.config.base_url}hub/{provider.callback}."
        )
    return _CLASSES.get(provider.name, provider.name)


def _put_lists(hub: ExportedHub, values: Values) -> None:
    """Write the lists, and always the two switches whose defaults depend on their length."""
    section = ("hub", "config", "Authenticator")
    refused: set[str] = set()
    for trait in ("allowed_users", "admin_users", "blocked_users"):
        names = set(hub.trait("Authenticator", trait, ()))
        refused |= names - set(_select_names(hub, names))
        values.put((*section, trait), _select_names(hub, names))
    if refused:
        values.decisions.append(
            f"names with a space cannot log in with {hub.config.auth.type} on Kubernetes, and are "
            f"not in the lists: {', '.join(sorted(refused))}."
        )
    values.put((*section, "allow_all"), bool(hub.trait("Authenticator", "allow_all", False)))
    values.put(
        (*section, "allow_existing_users"),
        bool(hub.trait("Authenticator", "allow_existing_users", False)),
    )


def _select_names(hub: ExportedHub, names: Iterable[str]) -> list[str]:
    """Return the names that the chart's authenticator accepts, sorted.

    Its hub does not start with a name in a list that it refuses.
    """
    refuses_spaces = keeps_passwords(hub.config)
    return sorted(name for name in names if not (refuses_spaces and " " in name))


def manages_groups(hub: ExportedHub) -> bool:
    """Return whether the login provider decides about groups; the hub takes no others then."""
    return any(
        traits.get("manage_groups") is True
        for section, traits in hub.traits.items()
        if section.endswith("Authenticator")
    )


def _put_groups(hub: ExportedHub, values: Values) -> None:
    config = hub.config
    groups: dict[str, set[str]] = {}
    _add(groups, config.groups.items())
    _add(groups, config.users.extra_user_groups.items())
    properties: dict[str, Any] = {}
    for group, content in hub.trait("JupyterHub", "load_groups", {}).items():
        members: Any = content.get("users", ()) if isinstance(content, dict) else content
        _add(groups, [(group, members)])
        if isinstance(content, dict) and content.get("properties"):
            properties[group] = {"properties": content["properties"]}
    _add(
        groups, ((f"{LIMITS_GROUP}{name.lower()}", [name.lower()]) for name in config.limits.users)
    )
    groups = {name: set(_select_names(hub, members)) for name, members in groups.items()}
    groups = {name: names for name, names in groups.items() if names or name in properties}
    if groups and manages_groups(hub):
        values.decisions.append(
            "groups come from the login provider (manage_groups): the groups of config.yaml are "
            f"not in values.yaml ({', '.join(sorted(groups))}). Make them there."
        )
    elif groups:
        values.put(
            "hub.config.JupyterHub.load_groups",
            {
                name: {"users": sorted(members), **properties.get(name, {})}
                for name, members in sorted(groups.items())
            },
        )


def _add(groups: dict[str, set[str]], more: Iterable[tuple[str, Iterable[str]]]) -> None:
    for name, members in more:
        groups.setdefault(name, set()).update(member.lower() for member in members)


ROWS = (
    Row(
        "auth.type",
        (
            "hub.config.JupyterHub.authenticator_class",
            "hub.cookieSecret",
            "hub.extraConfig.NAME",
            "hub.config.FirstUseAuthenticator.dbm_path",
            "hub.extraVolumes",
            "hub.extraVolumeMounts",
            "<hub/passwords.json>",
            "<hub/jupyterhub.sqlite>",
        ),
        "pam has no counterpart: pods have no accounts of this machine. Claim links of admins have "
        "none either: with firstuse, a name without a password goes to the first who takes it",
        _put_login,
    ),
    Row(
        "auth.allow_all",
        ("hub.config.Authenticator.allow_all", "hub.config.Authenticator.allow_existing_users"),
        "always written: JupyterHub's defaults depend on the length of the lists",
        _put_lists,
    ),
    Row("auth.allow_strangers", (), "a check of tljh"),
    Row(
        "auth.session_days",
        ("hub.config.JupyterHub.cookie_max_age_days",),
        build=_put_login,
    ),
    Row(
        "auth.token_days",
        ("hub.config.JupyterHub.token_expires_in_max_seconds",),
        build=_put_login,
    ),
    *rows_without(
        "failed logins are not limited: use a login provider that limits them",
        "auth.throttle.enabled",
        "auth.throttle.attempts",
        "auth.throttle.attempts_anywhere",
        "auth.throttle.names_per_address",
        "auth.throttle.window_s",
    ),
    Row("users.allowed", ("hub.config.Authenticator.allowed_users",), build=_put_lists),
    Row("users.banned", ("hub.config.Authenticator.blocked_users",), build=_put_lists),
    Row(
        "users.admin",
        ("hub.config.Authenticator.admin_users",),
        "admins of the hub; a pod has no sudo",
        _put_lists,
    ),
    Row(
        "users.extra_user_groups",
        ("hub.config.JupyterHub.load_groups",),
        "groups of the hub, not of Linux: they decide about limits and shared folders",
        _put_groups,
    ),
    Row("groups", ("hub.config.JupyterHub.load_groups",), build=_put_groups),
    Row(
        "users.accounts",
        (),
        "a pod has one account, jovyan (uid 1000); whose server it is, only the hub knows",
    ),
    Row("users.home_root", (), "homes are claims, mounted at /home/jovyan; users.csv names them"),
    Row("users.skeleton", (), "a new claim is empty; fill it with singleuser.lifecycleHooks"),
    Row("users.groups", (), "Linux groups for all: a device or a file needs another way in pods"),
    *rows_without("a pod has no SSH and no systemd", "users.ssh", "users.user_units"),
)
