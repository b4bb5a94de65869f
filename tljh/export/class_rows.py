"""Rows of traits: sections of config.yaml that are named after classes of JupyterHub."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tljh.export.row import Row
from tljh.export.values import ValuePath, Values
from tljh.settings.login_providers import find_provider
from tljh.settings.redaction import redact
from tljh.settings.sections.limits import parse_memory

if TYPE_CHECKING:
    from tljh.export.hub_state import ExportedHub

SPAWNERS = ("Spawner", "LocalProcessSpawner", "SystemdSpawner", "UserCreatingSpawner")
_HUBS = ("Application", "JupyterHub")

# Classes that only a machine of tljh has.
_OURS = {
    "TljhHub": "a class of tljh",
    "LoginGuard": "a class of tljh: logins are not throttled",
    "ClaimableAuthenticator": "a class of tljh: there are no claim links",
    "Proxy": "the chart has its own proxy",
    "TraefikProxy": "the chart has its own proxy",
    "TraefikFileProviderProxy": "the chart has its own proxy",
    "ConfigurableHTTPProxy": "the chart sets up its own proxy",
}

# Traits of spawners that the chart has a value for.
_SPAWNER_VALUES = {
    "cmd": "singleuser.cmd",
    "consecutive_failure_limit": "hub.consecutiveFailureLimit",
    "cpu_guarantee": "singleuser.cpu.guarantee",
    "cpu_limit": "singleuser.cpu.limit",
    "default_url": "singleuser.defaultUrl",
    "mem_guarantee": "singleuser.memory.guarantee",
    "mem_limit": "singleuser.memory.limit",
    "start_timeout": "singleuser.startTimeout",
}
# Traits that each spawner has.
_SPAWNER_TRAITS = frozenset(
    {
        *("args", "apply_user_options", "debug", "disable_user_config", "http_timeout"),
        *("oauth_client_allowed_scopes", "options_form", "poll_interval", "poll_jitter"),
        *("notebook_dir", "server_token_scopes"),
    }
)

_HUB_VALUES = {
    "active_server_limit": "hub.activeServerLimit",
    "allow_named_servers": "hub.allowNamedServers",
    "authenticate_prometheus": "hub.authenticatePrometheus",
    "concurrent_spawn_limit": "hub.concurrentSpawnLimit",
    "named_server_limit_per_user": "hub.namedServerLimitPerUser",
    "redirect_to_server": "hub.redirectToServer",
    "shutdown_on_logout": "hub.shutdownOnLogout",
}


def _reasons(reason: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, reason)


# Traits of the hub that other rows write.
_WRITTEN = _reasons(
    "",
    *("authenticator_class", "cookie_max_age_days", "custom_scopes", "hub_routespec"),
    *("load_groups", "load_roles", "logo_file", "services", "template_vars"),
    *("token_expires_in_max_seconds", "extra_user_scopes"),
)
_HUB_DROPPED = {
    **_WRITTEN,
    **_reasons(
        "the chart sets the addresses of hub and proxy",
        *("base_url", "bind_url", "ip", "port", "hub_ip", "hub_port", "hub_bind_url"),
        *("hub_connect_ip", "hub_connect_port", "hub_connect_url"),
    ),
    **_reasons(
        "the chart has its own proxy",
        *("cleanup_proxy", "confirm_no_ssl", "debug_proxy", "proxy_api_ip", "proxy_api_port"),
        *("proxy_auth_token", "proxy_class", "proxy_cmd", "ssl_cert", "ssl_key"),
    ),
    **_reasons(
        "certificates between hub and servers are files of this machine",
        *("external_ssl_authorities", "generate_certs", "internal_certs_location"),
        *("internal_ssl", "recreate_internal_certs", "trusted_alt_names"),
    ),
    **_reasons(
        "the chart sets it",
        *("cleanup_servers", "cookie_secret", "cookie_secret_file", "db_kwargs", "db_url"),
        *("debug_db", "spawner_class", "upgrade_db"),
    ),
    **_reasons(
        "a path or an option of this machine's hub",
        *("answer_yes", "config_file", "data_files_path", "extra_log_file", "generate_config"),
        *("pid_file", "reset_db", "show_config", "show_config_json", "template_paths"),
    ),
    **_reasons(
        "JupyterHub 5.5, which the chart runs, does not have it",
        *("allow_existing_invalid_named_servers", "hub_socket_mode", "oauth_require_pkce"),
    ),
    **_reasons(
        "deprecated: use roles and services", "admin_access", "api_tokens", "service_tokens"
    ),
}
# Of the section Authenticator, written by other rows.
_LISTS = {
    *("admin_users", "allow_all", "allow_existing_users", "allowed_users", "blocked_users"),
}
_AUTHENTICATOR_DROPPED = {
    **_reasons(
        "JupyterHub 5.5, which the chart runs, does not have it",
        *("auth_refresh_strict", "reconcile_auth_state_hook"),
    ),
    "firstuse_db_path": "a path of this machine",
}

# The class of LTI 1.1 has a secret for each key.
_SECRET_TRAITS = {("LTI11Authenticator", "consumers"), ("CryptKeeper", "keys")}
# Of NativeAuthenticator and FirstUseAuthenticator: where the pod of the hub keeps its files.
_STATE = "/srv/jupyterhub"


def _put_classes(hub: ExportedHub, values: Values) -> None:
    chosen = _list_login_sections(hub)
    for section, traits in hub.traits.items():
        is_login = section.endswith("Authenticator")
        if is_login and section not in chosen:
            continue
        for trait, value in traits.items():
            is_ours = hub.own_traits.get(section, {}).get(trait) == value
            if is_ours and (section in SPAWNERS or section in _HUBS):
                continue
            path, reason = _place(section, trait)
            if section in hub.config.plugins.sections:
                path, reason = None, "a section of a plugin; plugins are not exported"
            if path is None:
                if reason:
                    values.notes[f"{section}.{trait}"] = reason
                continue
            is_secret = (section, trait) in hub.from_files or holds_secret(section, trait, value)
            values.put(path, value, is_secret=is_secret)
    _lower_guarantee(values)
    if "FirstUseAuthenticator" in chosen:
        values.put("hub.config.FirstUseAuthenticator.dbm_path", f"{_STATE}/passwords.dbm")


def _lower_guarantee(values: Values) -> None:
    """Lower guarantees of memory and processors to limits that traits set."""
    for path in ("singleuser.memory", "singleuser.cpu"):
        limit, guarantee = values.find(f"{path}.limit"), values.find(f"{path}.guarantee")
        if limit is not None and _count(guarantee) > _count(limit):
            values.put(f"{path}.guarantee", limit)


def _count(amount: str | float | None) -> float:
    return float(parse_memory(amount)) if isinstance(amount, str) else float(amount or 0)


def _list_login_sections(hub: ExportedHub) -> frozenset[str]:
    """Return the sections of the chosen authenticator, and those that config.yaml has."""
    provider = find_provider(hub.config.auth.type)
    classes = provider.classes if provider is not None and provider.name != "pam" else ()
    last = re.split(r"[.:]", hub.config.auth.type)[-1]
    declared = {*hub.config.auth.classes, *hub.config.traitlets}
    return frozenset({*classes, *declared, last}) - {"PAMAuthenticator", "LocalAuthenticator"}


def _place(section: str, trait: str) -> tuple[ValuePath | None, str]:
    """Return the path of a trait in the chart's values, or why it has none."""
    if section in _OURS:
        return None, _OURS[section]
    if section in _HUBS:
        if trait in _HUB_DROPPED:
            return None, _HUB_DROPPED[trait]
        if trait in _HUB_VALUES:
            return tuple(_HUB_VALUES[trait].split(".")), ""
        return ("hub", "config", section, trait), ""
    if section in SPAWNERS:
        if trait in _SPAWNER_VALUES:
            return tuple(_SPAWNER_VALUES[trait].split(".")), ""
        if trait in _SPAWNER_TRAITS:
            return ("hub", "config", "Spawner", trait), ""
        # Its row is that of the environment of servers.
        if trait == "environment":
            return None, ""
        return None, "a trait of a spawner that starts servers on this machine"
    if section == "Authenticator" and trait in _LISTS:
        return None, ""
    if trait in _AUTHENTICATOR_DROPPED:
        return None, _AUTHENTICATOR_DROPPED[trait]
    return ("hub", "config", section, trait), ""


def holds_secret(section: str, trait: str, value: Any) -> bool:
    """Return whether a trait, or a value in it, is a secret by its name."""
    return (section, trait) in _SECRET_TRAITS or redact(value, (section, trait)) != value


_NOTE = (
    "traits of 6.1 alone, of the proxy and of classes of tljh are left out (see the traits below); "
    "secrets, and what a setting reads from a file, are in secrets.yaml"
)
ROWS = (
    Row(
        "CLASS.TRAIT",
        ("hub.config.CLASS.TRAIT", *_HUB_VALUES.values(), *_SPAWNER_VALUES.values()),
        _NOTE,
        _put_classes,
    ),
    Row("auth.CLASS.TRAIT", ("hub.config.CLASS.TRAIT",), _NOTE, _put_classes),
)
