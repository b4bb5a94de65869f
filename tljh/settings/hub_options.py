"""Table of JupyterHub's options (application, Proxy, Spawner, Authenticator): settable or not.

An option is settable in the section of its class, or has a setting of tljh as well, or is set by
tljh itself, or is refused because it is dangerous, removed or deprecated. Options of the last two
kinds are refused before anything restarts, with what to write instead: they would do nothing, stop
the hub, or destroy its data. A test compares the table with the classes of the installed
JupyterHub, so an option of a new release has to be entered here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from shlex import quote


class OptionKind(str, Enum):
    """What tljh does with an option of JupyterHub."""

    SETTABLE = "settable"
    SECTION = "has a setting"
    OURS = "set by tljh"
    REFUSED = "refused"


@dataclass(frozen=True)
class HubOption:
    """What becomes of an option, with the reason and what to write instead.

    `setting` is the key of tljh for the same thing. With `drop_ins_may`, only config.yaml is
    refused: Python can set it, or the option still works for drop-ins written long ago. With
    `yaml_only`, only Python is refused: units and commands of tljh follow config.yaml.
    """

    kind: OptionKind
    why: str = ""
    fix: str = ""
    setting: str | None = None
    drop_ins_may: bool = False
    yaml_only: bool = False

    @property
    def is_refused(self) -> bool:
        return self.kind in (OptionKind.OURS, OptionKind.REFUSED)


_SETTABLE = HubOption(OptionKind.SETTABLE)


def _settable(*names: str) -> dict[str, HubOption]:
    return dict.fromkeys(names, _SETTABLE)


def _has_setting(setting: str) -> HubOption:
    return HubOption(OptionKind.SECTION, setting=setting)


def _derived(setting: str, value: str) -> HubOption:
    return HubOption(
        OptionKind.OURS,
        f"tljh derives it from {setting}, and Traefik serves the port",
        f"sudo tljh-config set {quote(setting)} {quote(value)}",
        setting,
    )


def _ours(why: str, fix: str = "remove it", setting: str | None = None) -> HubOption:
    return HubOption(OptionKind.OURS, why, fix, setting)


def _dangerous(why: str, fix: str = "remove it") -> HubOption:
    return HubOption(OptionKind.REFUSED, why, fix)


def _deprecated(why: str, fix: str, setting: str | None = None) -> HubOption:
    return HubOption(OptionKind.REFUSED, why, fix, setting, drop_ins_may=True)


def _removed(why: str, fix: str, *names: str) -> dict[str, HubOption]:
    return dict.fromkeys(names, HubOption(OptionKind.REFUSED, why, fix, drop_ins_may=True))


_OWN = _ours("tljh sets it: the hub would not find its proxy or its state")
_ENDS = "the hub would do that one thing and exit, instead of serving"
_SHOWS = _dangerous(_ENDS, "remove it; to see the configuration: tljh-config show --all")
_PYTHON = HubOption(
    OptionKind.REFUSED,
    "it takes a function or an object, which YAML cannot express",
    "set it in a file in config/jupyterhub_config.d",
    drop_ins_may=True,
)
_OTHER_PROXY = _deprecated(
    "it configured the proxy of JupyterHub before 0.8; the proxy of this hub is Traefik",
    "remove it; settings of the proxy: tljh-config describe proxy",
)
_INTERNAL_CERTIFICATES = _ours("tljh makes these certificates, and renews them")
_STATSD = "JupyterHub has no statsd any more; its metrics are for Prometheus"

OPTIONS: Mapping[str, Mapping[str, HubOption]] = {
    "JupyterHub": {
        **_settable(
            "active_server_limit",
            "active_user_window",
            "activity_resolution",
            "allow_existing_invalid_named_servers",
            "api_page_default_limit",
            "api_page_max_limit",
            "authenticate_prometheus",
            "cookie_host_prefix_enabled",
            "custom_scopes",
            "db_kwargs",
            "debug_db",
            "default_server_name",
            "default_url",
            "extra_user_scopes",
            "forwarded_host_header",
            "hub_connect_ip",
            "hub_connect_url",
            "hub_ip",
            "implicit_spawn_seconds",
            "init_spawners_timeout",
            "jinja_environment_options",
            "last_activity_interval",
            "load_groups",
            "load_roles",
            "log_datefmt",
            "log_format",
            "log_level",
            "logging_config",
            "oauth_require_pkce",
            "oauth_token_expires_in",
            "public_url",
            "redirect_to_server",
            "service_check_interval",
            "service_tokens",
            "services",
            "shutdown_on_logout",
            "spawner_class",
            "subdomain_hook",
            "subdomain_host",
            "template_vars",
            "tornado_settings",
            "trust_user_provided_tokens",
            "use_legacy_stopped_server_status_code",
        ),
        "authenticator_class": _has_setting("auth.type"),
        "allow_named_servers": _has_setting("limits.named_servers"),
        "named_server_limit_per_user": _has_setting("limits.named_servers"),
        "token_expires_in_max_seconds": _has_setting("auth.token_days"),
        "hub_routespec": _has_setting("hub.mode"),
        "logo_file": _has_setting("pages.logo"),
        "template_paths": _has_setting("pages.templates"),
        "cookie_max_age_days": _has_setting("auth.session_days"),
        "concurrent_spawn_limit": _has_setting("limits.concurrent_starts"),
        "trusted_downstream_ips": _has_setting("trusted_proxies"),
        "ip": _derived("http.address", "ADDRESS"),
        "port": _derived("http.port", "PORT"),
        "bind_url": _derived("http.port", "PORT"),
        "base_url": _derived("base_url", "/PATH/"),
        "ssl_cert": _derived("https.tls.cert", "FILE"),
        "ssl_key": _derived("https.tls.key", "FILE"),
        "hub_port": _OWN,
        "hub_bind_url": _OWN,
        "hub_socket_mode": _ours("the hub listens on a port, which has no mode"),
        "proxy_class": _OWN,
        "cookie_secret_file": _OWN,
        "db_url": _ours(
            "tljh derives it from database.type and database.url, installs the driver, and moves "
            "the users there",
            "sudo tljh-config set database.type postgresql (or mysql), and for a server "
            "elsewhere: sudo tljh-config set database.url URL",
            "database.url",
        ),
        "cookie_secret": _ours(
            "tljh makes and keeps it in a file that only root can read",
            "remove it; for a new one: sudo tljh rotate cookie",
        ),
        "config_file": _ours(
            "tljh writes it, from config.yaml and the files in config/jupyterhub_config.d",
            "move the file into config/jupyterhub_config.d",
        ),
        "data_files_path": _OWN,
        "pid_file": _ours(
            "systemd knows the process of the hub",
            "remove it; the process: systemctl show --property MainPID jupyterhub",
        ),
        "answer_yes": _ours("the hub runs without a terminal, and nothing is asked"),
        "cleanup_servers": _ours("a restart of the hub would stop the servers of all users"),
        "cleanup_proxy": _ours("a restart of the hub would remove the routes to all servers"),
        "upgrade_db": _ours(
            "a reload migrates the database, after a trial on a copy and with a way back"
        ),
        "reset_db": _dangerous(
            "each start of the hub would delete all users, tokens and groups",
            "remove it; to remove one user: sudo tljh user remove NAME",
        ),
        "generate_certs": _dangerous(_ENDS),
        "generate_config": _dangerous(_ENDS),
        "show_config": _SHOWS,
        "show_config_json": _SHOWS,
        "internal_ssl": HubOption(OptionKind.SETTABLE, yaml_only=True),
        "internal_certs_location": _INTERNAL_CERTIFICATES,
        "recreate_internal_certs": _dangerous(
            "each start of the hub would make new authorities, which no running server trusts"
        ),
        "external_ssl_authorities": _INTERNAL_CERTIFICATES,
        "trusted_alt_names": _ours(
            "the certificate of the hub has the addresses at which servers reach it",
            "remove it; for another one: sudo tljh-config set JupyterHub.hub_connect_ip ADDRESS",
        ),
        "extra_log_handlers": _PYTHON,
        "user_redirect_hook": _PYTHON,
        "admin_users": _deprecated(
            "it is deprecated since JupyterHub 0.7",
            "sudo tljh-config add-item users.admin NAME",
            "users.admin",
        ),
        "admin_access": _deprecated(
            "it is deprecated since JupyterHub 2: admins may open servers by their role",
            "remove it; for others than admins: sudo tljh-config add-item JupyterHub.load_roles "
            "'{name: support, scopes: [admin-ui, list:users, access:servers], users: [NAME]}'",
        ),
        "api_tokens": _deprecated(
            "tokens of users in a file never expire; it is deprecated since JupyterHub 0.8",
            "sudo tljh-config add-item JupyterHub.services "
            "'{name: NAME, api_token: {file: /PATH/OF/TOKEN}}'",
        ),
        "confirm_no_ssl": _deprecated("it does nothing since JupyterHub 0.7", "remove it"),
        "extra_handlers": _deprecated(
            "it takes classes of Python, and is deprecated since JupyterHub 3.1: a service "
            "answers further addresses",
            "sudo tljh-config add-item JupyterHub.services "
            "'{name: NAME, url: http://127.0.0.1:PORT}'",
        ),
        "extra_log_file": _deprecated(
            "it is deprecated since JupyterHub 0.8: the journal has the log of the hub",
            "remove it; to read the log: sudo tljh logs hub",
        ),
        "hub_connect_port": _deprecated(
            "it is deprecated since JupyterHub 0.9",
            "sudo tljh-config set JupyterHub.hub_connect_url http://ADDRESS:PORT",
        ),
        "debug_proxy": _deprecated(
            _OTHER_PROXY.why, "sudo tljh-config set proxy.log_level DEBUG", "proxy.log_level"
        ),
        "proxy_api_ip": _deprecated(
            _OTHER_PROXY.why, "sudo tljh-config set traefik_api.ip 127.0.0.1", "traefik_api.ip"
        ),
        "proxy_api_port": _deprecated(
            _OTHER_PROXY.why, "sudo tljh-config set traefik_api.port PORT", "traefik_api.port"
        ),
        "proxy_auth_token": _deprecated(
            _OTHER_PROXY.why,
            "sudo tljh-config set traefik_api.password --stdin",
            "traefik_api.password",
        ),
        "proxy_check_interval": _OTHER_PROXY,
        "proxy_cmd": _OTHER_PROXY,
        **_removed(
            _STATSD,
            "remove it; the token for Prometheus: sudo tljh monitoring token",
            "statsd_host",
            "statsd_port",
            "statsd_prefix",
        ),
        **_removed(
            "JupyterHub always has the prefix /hub/ below base_url",
            "sudo tljh-config set base_url /PATH/",
            "hub_prefix",
        ),
        **_removed(
            "JupyterHub lists groups in load_groups",
            "sudo tljh-config set JupyterHub.load_groups '{GROUP: {users: [NAME]}}'",
            "user_groups",
        ),
    },
    "Proxy": {
        "extra_routes": _has_setting("proxy.extra_routes"),
        "should_start": _OWN,
    },
    "TraefikProxy": {
        "traefik_api_url": _derived("traefik_api.port", "PORT"),
        "traefik_api_username": _derived("traefik_api.username", "NAME"),
        "traefik_api_password": _derived("traefik_api.password", "PASSWORD"),
        "traefik_entrypoint": _OWN,
    },
    "TraefikFileProviderProxy": {"dynamic_config_file": _OWN},
    "Spawner": {
        **_settable(
            "apply_user_options",
            "args",
            "cmd",
            "consecutive_failure_limit",
            "debug",
            "disable_user_config",
            "env_keep",
            "environment",
            "group_overrides",
            "http_timeout",
            "hub_connect_url",
            "ip",
            "notebook_dir",
            "oauth_client_allowed_scopes",
            "options_form",
            "poll_interval",
            "poll_jitter",
            "server_token_scopes",
            "start_timeout",
        ),
        "cpu_guarantee": _has_setting("limits.cpu_weight"),
        "cpu_limit": _has_setting("limits.cpu"),
        "mem_guarantee": _has_setting("limits.memory_guarantee"),
        "mem_limit": _has_setting("limits.memory"),
        "default_url": _has_setting("user_environment.default_app"),
        "port": _dangerous(
            "all servers are on this machine: only one of them could listen on the port"
        ),
        "auth_state_hook": _PYTHON,
        "options_from_form": _PYTHON,
        "post_stop_hook": _PYTHON,
        "pre_spawn_hook": _PYTHON,
        "progress_ready_hook": _PYTHON,
        "ssl_alt_names": _INTERNAL_CERTIFICATES,
        "ssl_alt_names_include_local": _INTERNAL_CERTIFICATES,
        "oauth_roles": _deprecated(
            "it is deprecated since JupyterHub 3",
            "sudo tljh-config add-item Spawner.oauth_client_allowed_scopes SCOPE",
        ),
    },
    "Authenticator": {
        **_settable(
            "allow_existing_users",
            "auth_refresh_age",
            "auth_refresh_strict",
            "auto_login",
            "auto_login_oauth2_authorize",
            "delete_invalid_users",
            "enable_auth_state",
            "manage_groups",
            "manage_roles",
            "otp_prompt",
            "refresh_pre_spawn",
            "refresh_pre_stop",
            "request_otp",
            "reset_managed_roles_on_startup",
            "username_map",
        ),
        "admin_users": _has_setting("users.admin"),
        "allow_all": _has_setting("auth.allow_all"),
        "allowed_users": _has_setting("users.allowed"),
        "blocked_users": _has_setting("users.banned"),
        "any_allow_config": _ours(
            "it only silences a warning; tljh checks before a restart that users can log in",
            "remove it; to let users in: sudo tljh-config add-item users.allowed NAME",
            "users.allowed",
        ),
        "username_pattern": _ours(
            "names decide over routes and accounts: with a wider pattern, a user could take the "
            "requests of others",
            "remove it; to choose who may log in: sudo tljh-config add-item users.allowed NAME",
            "users.allowed",
        ),
        "post_auth_hook": _PYTHON,
        "reconcile_auth_state_hook": _PYTHON,
        "whitelist": _deprecated(
            "JupyterHub calls it allowed_users",
            "sudo tljh-config add-item users.allowed NAME",
            "users.allowed",
        ),
        **_removed(
            "JupyterHub calls it admin_users",
            "sudo tljh-config add-item users.admin NAME",
            "admin_whitelist",
        ),
        **_removed(
            "JupyterHub calls it blocked_users",
            "sudo tljh-config add-item users.banned NAME",
            "blacklist",
            "blocklist",
        ),
    },
}
# A class inherits the options of its base and takes them in the section of its name.
_SUFFIXES = ("Authenticator", "Spawner", "Proxy")
_APPLICATIONS = ("Application", "Hub", "TljhHub")


def _list_bases(section: str) -> Iterable[str]:
    if section in _APPLICATIONS:
        return (section, "JupyterHub")
    if section.endswith("TraefikFileProviderProxy") or section == "RoutesProxy":
        return (section, "TraefikFileProviderProxy", "TraefikProxy", "Proxy")
    return (section, *(base for base in _SUFFIXES if section.endswith(base)))


def find_option(section: str, name: str) -> HubOption | None:
    """Return what becomes of an option in the section of a class; None if the table lacks it."""
    for base in _list_bases(section):
        option = OPTIONS.get(base, {}).get(name)
        if option is not None:
            return option
    return None


def find_refused(section: str, name: str) -> HubOption | None:
    """Return why config.yaml must not set an option; None if it may."""
    option = find_option(section, name)
    return option if option is not None and option.is_refused else None


def find_refused_in_drop_ins(section: str, name: str) -> HubOption | None:
    """Return why drop-ins and plugins must not set an option; None if they may."""
    option = find_option(section, name)
    if option is not None and option.yaml_only:
        key = f"JupyterHub.{name}"
        why = "units and commands of tljh need it, too, and read config.yaml only"
        return _ours(why, f"remove it there, then: sudo tljh-config set {quote(key)} true")
    refused = find_refused(section, name)
    return refused if refused is not None and not refused.drop_ins_may else None
