"""Traits of JupyterHub that config.yaml and drop-ins must not set, and what to set instead.

tljh derives these from its own settings, or they would stop the hub or destroy its data. Set by
hand they do nothing, or fail only after the hub has restarted. So they are refused at once.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReservedTrait:
    """Why a trait is refused, and the command that does what was meant."""

    why: str
    fix: str


def _setting(setting: str, value: str) -> ReservedTrait:
    return ReservedTrait(
        f"tljh derives it from {setting}, and Traefik serves the port",
        f"sudo tljh-config set {setting} {value}",
    )


_OWN = ReservedTrait("tljh sets it: the hub would not find its proxy or its state", "remove it")
_ENDS = "the hub would do that one thing and exit, instead of serving"

RESERVED = {
    ("JupyterHub", "ip"): _setting("http.address", "ADDRESS"),
    ("JupyterHub", "port"): _setting("http.port", "PORT"),
    ("JupyterHub", "bind_url"): _setting("http.port", "PORT"),
    ("JupyterHub", "base_url"): _setting("base_url", "/PATH/"),
    ("JupyterHub", "ssl_cert"): _setting("https.tls.cert", "FILE"),
    ("JupyterHub", "ssl_key"): _setting("https.tls.key", "FILE"),
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
    ("TraefikProxy", "traefik_api_url"): _setting("traefik_api.port", "PORT"),
    ("TraefikProxy", "traefik_api_username"): _setting("traefik_api.username", "NAME"),
    ("TraefikProxy", "traefik_api_password"): _setting("traefik_api.password", "PASSWORD"),
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


def reserved(section: str, trait: str) -> ReservedTrait | None:
    """Return why `section.trait` is refused; None where it may be set."""
    for name in (section, *_BASES.get(section, ())):
        if (name, trait) in RESERVED:
            return RESERVED[name, trait]
    return None
