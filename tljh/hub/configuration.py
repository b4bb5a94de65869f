"""JupyterHub's configuration, derived from config.yaml: class -> trait -> value, as JSON.

The hub process loads this file, plugins and admins' drop-ins, and nothing else. So an edit of
config.yaml that leaves the file as it is needs no restart of the hub.
"""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tljh.base.account_names import USERNAME_PATTERN
from tljh.base.paths import Paths
from tljh.base.well_known import CULLER, CULLER_ROLE, HUB_PORT, SHORTEST_PASSWORD, SLICE
from tljh.conda import git_helper
from tljh.hub.trait_layers import lay_over_traits
from tljh.settings.database_address import get_database_address
from tljh.settings.derived import (
    build_access_traits,
    get_authenticator_class,
    get_callback_url,
    get_hub_routespec,
    list_login_classes,
    list_program_routes,
    uses_internal_ssl,
)
from tljh.singleuser.sandbox import build_spawner_traits
from tljh.users.user_lists import combine_user_lists, rename_old_lists

if TYPE_CHECKING:
    from tljh.settings.root import Config
    from tljh.settings.sections.services import CullSettings, ServiceSettings

Traits = dict[str, dict[str, Any]]


CULLER_MODULE = "jupyterhub_idle_culler"


CULLER_PAGE = 100


# From the start of a server's unit to its first answer. Time in the queue of starts is not in it.
START_TIMEOUT_S = 120


def build_hub_configuration(config: Config, paths: Paths) -> Traits:
    """Return the traits of JupyterHub's classes that follow from config.yaml.

    Plugins and drop-ins may override them. Sections that name a class (`auth.<Class>`, `<Class>` at
    the top level) come last and win; their lists and maps are merged with ours.
    """
    traits: Traits = {}
    for part in (
        _build_hub(config, paths),
        _build_pages(config, paths),
        _build_proxy(config, paths),
        _build_authenticator(config, paths),
    ):
        _merge(traits, part)
    _merge(traits, _build_spawner(config, paths))
    _merge(traits, build_spawner_traits(config.isolation, paths))
    _merge(traits, _build_services(config, paths))
    ours = {"Authenticator": dict(traits["Authenticator"])}
    sections = [rename_old_lists(each) for each in (config.auth.classes, config.traitlets)]
    lists, _ = combine_user_lists([ours, *sections], list_login_classes(config))
    for theirs in sections:
        merged, _ = lay_over_traits(traits, theirs)
        _merge(traits, theirs)
        _merge(traits, merged)
    _merge(traits, lists)
    if uses_internal_ssl(config):
        # Commands look for it here, whatever the section in config.yaml.
        traits["JupyterHub"]["internal_ssl"] = True
    return traits


def _merge(into: Traits, more: Mapping[str, Mapping[str, Any]]) -> None:
    for name, values in more.items():
        into.setdefault(name, {}).update({k: v for k, v in values.items() if v is not None})


def _build_hub(config: Config, paths: Paths) -> Traits:
    address = get_database_address(config, paths)
    named_servers, token_days = config.limits.named_servers, config.auth.token_days
    traits: Traits = {}
    if address.password_file:
        traits["TljhHub"] = {"db_password_file": address.password_file}
    if config.launch.enabled:
        traits.setdefault("TljhHub", {})["launch"] = config.launch.model_dump()
        traits["UserCreatingSpawner"] = {"temporary_token_in_url": config.launch.token_in_url}
    return traits | {
        "JupyterHub": {
            "hub_ip": "127.0.0.1",
            "hub_port": HUB_PORT,
            # No base_url: JupyterHub reads it from bind_url, and replaces bind_url where both are
            # set.
            # JupyterHub's own default, which depends on subdomain_host, in the mode `full`.
            "hub_routespec": None if config.hub.mode == "full" else get_hub_routespec(config),
            "db_url": address.url,
            "cookie_secret_file": str(paths.cookie_secret),
            # With a host name for each user, only `__Host-` keeps pages of the other hosts from
            # setting the hub's cookies. On one host name it must not be: such cookies have the
            # path `/`, and every user's server would receive the hub's session.
            "cookie_host_prefix_enabled": True if _has_secure_hosts(config) else None,
            # A restart of the hub must not stop servers or remove routes.
            "cleanup_servers": False,
            "cleanup_proxy": False,
            "spawner_class": "tljh.hub.process.spawner.UserCreatingSpawner",
            # JupyterHub would answer 429 above its limit. 0 turns that off: the spawner's own
            # queue (tljh.hub.process.start_queue) lets starts wait instead.
            "concurrent_spawn_limit": 0,
            # A limit of 0 would be no limit.
            "allow_named_servers": True if named_servers else None,
            "named_server_limit_per_user": named_servers or None,
            "token_expires_in_max_seconds": round(token_days * 86_400) if token_days else None,
        }
    }


def _has_secure_hosts(config: Config) -> bool:
    address = config.traitlets.get("JupyterHub", {}).get("subdomain_host")
    return str(address or "").startswith("https://")


def _build_pages(config: Config, paths: Paths) -> Traits:
    """Return the traits of `pages`; templates/page.html and login.html show the variables."""
    pages = config.pages
    variables: dict[str, Any] = {
        "pages_title": pages.title if "title" in pages.model_fields_set else None,
        "pages_help_links": [{"text": text, "url": url} for text, url in pages.help_links.items()],
        "pages_login_text": pages.login_text,
        # JupyterHub's template takes it as HTML.
        "announcement": html.escape(pages.announcement).replace("\n", "<br>"),
    }
    variables = {name: value for name, value in variables.items() if value}
    folder = paths.hub_drop_ins / pages.templates if pages.templates else None
    return {
        "JupyterHub": {
            "logo_file": pages.logo,
            "template_paths": [str(folder)] if folder else None,
            "template_vars": variables or None,
        }
    }


def _build_proxy(config: Config, paths: Paths) -> Traits:
    api = config.traefik_api
    has_https = config.https.enabled
    port = config.https.port if has_https else config.http.port
    return {
        "JupyterHub": {
            "proxy_class": "tljh.hub.process.traefik_routes.RoutesProxy",
            "bind_url": f"{'https' if has_https else 'http'}://:{port}{config.base_url}",
        },
        "Proxy": {
            "should_start": False,
            "extra_routes": list_program_routes(config) or None,
        },
        "TraefikProxy": {
            "traefik_api_url": f"http://{_bracket_ipv6(api.ip)}:{api.port}",
            "traefik_api_username": api.username,
            "traefik_entrypoint": "https" if has_https else "http",
            "traefik_api_entrypoint": "auth_api",
            "enable_setup_dynamic_config": False,
        },
        "TraefikFileProviderProxy": {
            "dynamic_config_file": str(paths.traefik_routes_file),
        },
    }


def _bracket_ipv6(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _build_authenticator(config: Config, paths: Paths) -> Traits:
    users = config.users
    traits: Traits = {
        "JupyterHub": {
            "authenticator_class": get_authenticator_class(config),
            "cookie_max_age_days": config.auth.session_days,
        },
        "Authenticator": {
            "username_pattern": f"(?:{USERNAME_PATTERN})\\Z",
            "admin_users": sorted(users.admin),
            "blocked_users": sorted(users.banned),
            **build_access_traits(config),
        },
        "FirstUseAuthenticator": {
            "dbm_path": str(paths.passwords),
            "create_users": config.auth.allow_all is True,
            "min_password_length": SHORTEST_PASSWORD,
        },
        "NativeAuthenticator": {
            "minimum_password_length": SHORTEST_PASSWORD,
            "check_common_password": True,
            "firstuse_db_path": str(paths.passwords),
        },
        "ClaimableAuthenticator": {"claims_dir": str(paths.claims_dir)},
        # PAM delays the answer to a bad login by seconds. With JupyterHub's default of four
        # threads, four bad logins at a time would hold up all others.
        "PAMAuthenticator": {"executor_threads": 16},
        "LoginGuard": {
            **config.auth.throttle.model_dump(),
            "trusted_proxies": list(config.trusted_proxies),
            "allow_strangers": config.auth.allow_strangers,
        },
    }
    callback = get_callback_url(config)
    if callback is not None and callback.endswith("/oauth_callback"):
        traits["OAuthenticator"] = {"oauth_callback_url": callback}
    return traits


def _build_spawner(config: Config, paths: Paths) -> Traits:
    user = paths.user
    return {
        "Spawner": {
            "default_url": config.user_environment.default_url,
            "start_timeout": START_TIMEOUT_S,
            "http_timeout": START_TIMEOUT_S,
            "environment": {
                "CONDA_PREFIX": str(user),
                "CONDA_DEFAULT_ENV": str(user),
                "MAMBA_ROOT_PREFIX": str(user),
                "JUPYTER_CONFIG_PATH": str(paths.jupyter),
                **git_helper.variables(),
            },
        },
        "SystemdSpawner": {
            "extra_paths": [f"{user}/bin"],
            "default_shell": "/bin/bash",
            "isolate_devices": False,
            "slice": SLICE,
            # New files in a home are readable by their owner only.
            "unit_extra_properties": {"UMask": "0077"},
        },
        "UserCreatingSpawner": {
            "user_groups": {
                group: sorted(members) for group, members in config.users.extra_user_groups.items()
            },
            "default_groups": list(config.users.groups),
            "accounts": config.users.accounts,
            "home_root": config.users.home_root,
            "skeleton": config.users.skeleton,
            # Limits are not traits, so that changing them needs no restart of the hub: each start
            # reads them from a file (tljh.singleuser.limits).
            "concurrent_starts": config.limits.concurrent_starts,
        },
    }


def _build_services(config: Config, paths: Paths) -> Traits:
    """Return the culler, the services of config.yaml, and roles, groups and scopes.

    Tokens are added when the hub loads them from their files.
    """
    services: list[dict[str, Any]] = []
    roles: list[dict[str, Any]] = []
    if config.services.cull.enabled:
        services.append(_build_culler(config.services.cull, paths))
        roles.append(_build_culler_role(config.services.cull))
        if uses_internal_ssl(config):
            services[-1]["command"] += [
                "--ssl-enabled=true",
                f"--internal-certs-location={paths.internal_ssl}",
            ]
    own = config.services.own
    # For the hub, the services that run in units of tljh are external ones.
    services += [_build_service(name, service) for name, service in own.items()]
    for name, service in own.items():
        if service.scopes:
            scopes = list(service.scopes)
            roles.append({"name": f"tljh-service-{name}", "scopes": scopes, "services": [name]})
        if service.groups:
            scopes = [format_access_scope(name)]
            members = list(service.groups)
            roles.append({"name": f"tljh-open-{name}", "scopes": scopes, "groups": members})
    roles += [
        {"name": name, **role.model_dump(exclude_unset=True)} for name, role in config.roles.items()
    ]
    roles += [
        build_joining_role(group, others) for group, others in config.presets.joining_groups.items()
    ]
    is_open = [name for name, service in own.items() if service.address and service.is_open]
    open_scopes = [format_access_scope(name) for name in is_open]
    for role in roles:
        # JupyterHub ignores extra_user_scopes where the role has own scopes.
        if role["name"] == "user" and "scopes" in role:
            role["scopes"] = [*role["scopes"], *open_scopes]
    custom_scopes = {
        name: {"description": scope.description or name, "subscopes": list(scope.subscopes)}
        for name, scope in config.custom_scopes.items()
    }
    groups = {name: {"users": list(members)} for name, members in config.groups.items()}
    return {
        "JupyterHub": {
            "services": services or None,
            "load_roles": roles or None,
            "load_groups": groups or None,
            "custom_scopes": custom_scopes or None,
            "extra_user_scopes": open_scopes or None,
        },
        **({"TljhHub": {"declared_groups": sorted(groups)}} if groups else {}),
    }


def build_joining_role(group: str, others: Sequence[str]) -> dict[str, Any]:
    """Return the role by which members of other groups may open the servers of a group's members.

    A group may have any letters, a role may not.
    """
    digest = hashlib.sha256(group.encode()).hexdigest()[:12]
    scopes = [f"access:servers!group={group}"]
    return {"name": f"tljh-join-{digest}", "scopes": scopes, "groups": list(others)}


def format_access_scope(service: str) -> str:
    """Return the scope that permits to open the pages of a service."""
    return f"access:services!service={service}"


def _build_service(name: str, service: ServiceSettings) -> dict[str, Any]:
    built: dict[str, Any] = {"name": name, "display": False}
    if service.address:
        built |= {"url": service.address, "display": service.display}
    if service.oauth_redirect_uri:
        built["oauth_redirect_uri"] = service.oauth_redirect_uri
    if service.address or service.oauth_redirect_uri:
        # JupyterHub does not start with these for a service to which no user is led back.
        scopes = list(service.oauth_client_allowed_scopes)
        built["oauth_no_confirm"] = service.oauth_no_confirm
        built["oauth_client_allowed_scopes"] = scopes
    return built


def _build_culler_role(cull: CullSettings) -> dict[str, Any]:
    scopes = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
    if cull.users:
        scopes.append("admin:users")
    return {"name": CULLER_ROLE, "scopes": scopes, "services": [CULLER]}


def _build_culler(cull: CullSettings, paths: Paths) -> dict[str, Any]:
    command = [
        str(paths.hub_files.python),
        "-m",
        CULLER_MODULE,
        f"--timeout={cull.timeout}",
        f"--cull-every={cull.every}",
        f"--concurrency={cull.concurrency}",
        # It asks for running servers only, and in pages that the hub answers within a moment.
        f"--api-page-size={CULLER_PAGE}",
        f"--max-age={cull.max_age}",
        # The culler does not accept a flag without a value.
        f"--cull-users={str(cull.users).lower()}",
        f"--remove-named-servers={str(cull.remove_named_servers).lower()}",
    ]
    # The culler executes idle_culler_config.py from its working directory, as root. So that
    # directory must be one that only root can write.
    return {"name": CULLER, "command": command, "cwd": "/"}


def as_json(traits: Traits) -> bytes:
    return json.dumps(traits, indent=2, sort_keys=True).encode() + b"\n"
