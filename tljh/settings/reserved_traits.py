"""Traits of JupyterHub that config.yaml and drop-ins must not set, and what to set instead.

tljh derives these from its own settings, or they would stop the hub or destroy its data. Set by
hand they do nothing, or fail only after the hub has restarted. So they are refused at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote


@dataclass(frozen=True)
class ReservedTrait:
    """Why a trait is refused, and the command that does what was meant."""

    why: str
    fix: str


def _declare_reserved(setting: str, value: str) -> ReservedTrait:
    return ReservedTrait(
        f"tljh derives it from {setting}, and Traefik serves the port",
        f"sudo tljh-config set {quote(setting)} {quote(value)}",
    )


_OWN = ReservedTrait("tljh sets it: the hub would not find its proxy or its state", "remove it")
_ENDS = "the hub would do that one thing and exit, instead of serving"

RESERVED = {
    ("JupyterHub", "ip"): _declare_reserved("http.address", "ADDRESS"),
    ("JupyterHub", "port"): _declare_reserved("http.port", "PORT"),
    ("JupyterHub", "bind_url"): _declare_reserved("http.port", "PORT"),
    ("JupyterHub", "base_url"): _declare_reserved("base_url", "/PATH/"),
    ("JupyterHub", "ssl_cert"): _declare_reserved("https.tls.cert", "FILE"),
    ("JupyterHub", "ssl_key"): _declare_reserved("https.tls.key", "FILE"),
    ("JupyterHub", "hub_port"): _OWN,
    ("JupyterHub", "proxy_class"): _OWN,
    ("JupyterHub", "cookie_secret_file"): _OWN,
    ("JupyterHub", "cleanup_servers"): ReservedTrait(
        "a restart of the hub would stop the servers of all users", "remove it"
    ),
    ("JupyterHub", "cleanup_proxy"): ReservedTrait(
        "a restart of the hub would remove the routes to all servers", "remove it"
    ),
    ("Proxy", "should_start"): _OWN,
    ("TraefikProxy", "traefik_api_url"): _declare_reserved("traefik_api.port", "PORT"),
    ("TraefikProxy", "traefik_api_username"): _declare_reserved("traefik_api.username", "NAME"),
    ("TraefikProxy", "traefik_api_password"): _declare_reserved("traefik_api.password", "PASSWORD"),
    ("TraefikProxy", "traefik_entrypoint"): _OWN,
    ("TraefikFileProviderProxy", "dynamic_config_file"): _OWN,
    ("JupyterHub", "reset_db"): ReservedTrait(
        "each start of the hub would delete all users, tokens and groups",
        "remove it; to remove one user: sudo tljh user remove NAME",
    ),
    ("JupyterHub", "generate_certs"): ReservedTrait(_ENDS, "remove it"),
    ("JupyterHub", "generate_config"): ReservedTrait(_ENDS, "remove it"),
    ("Application", "show_config"): ReservedTrait(
        _ENDS, "remove it; to see the configuration: tljh-config show --all"
    ),
    ("Application", "show_config_json"): ReservedTrait(
        _ENDS, "remove it; to see the configuration: tljh-config show --all"
    ),
}
# A trait of a base class can be set by the name of each class that inherits it.
_BASES = {"JupyterHub": ("Application",), "Hub": ("JupyterHub", "Application")}


def find_reserved(section: str, trait: str) -> ReservedTrait | None:
    """Return why only tljh may set a trait; None if an admin may set it."""
    for name in (section, *_BASES.get(section, ())):
        if (name, trait) in RESERVED:
            return RESERVED[name, trait]
    return None
