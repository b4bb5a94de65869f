"""Contradictions between the settings of the proxy, HTTPS and certificates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from tljh.base.well_known import HUB_PORT, TEMPORARY_GROUP
from tljh.settings.declaration import KeyPath, Problem
from tljh.settings.sections.https import WAITS_ITSELF, HttpsSettings
from tljh.settings.sections.proxy import HttpSettings, TraefikApiSettings

if TYPE_CHECKING:
    from tljh.settings.root import Config


# Directories of the system and of users, none of whose files belong on the web.
_PRIVATE = tuple(
    f"/{name}/"
    for name in ("boot", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "var/tmp")
)


@dataclass(frozen=True)
class _Listener:
    """A section with a port, and the default of that port."""

    name: str
    section: HttpSettings | HttpsSettings | TraefikApiSettings
    default: int


def _find_port_clashes(config: Config) -> Iterator[Problem]:
    listeners = [
        _Listener("http", config.http, 80),
        _Listener("traefik_api", config.traefik_api, 8099),
    ]
    if config.https.enabled:
        listeners.insert(1, _Listener("https", config.https, 443))
    # Defaults first, so that of two equal ports the message names the one that an admin set.
    listeners.sort(key=lambda listener: "port" in listener.section.model_fields_set)
    owners = {HUB_PORT: "the hub's port"}
    ports = {listener.section.port for listener in listeners}
    for listener in listeners:
        name, port = listener.name, listener.section.port
        if port in owners:
            choices = (listener.default, 8080, 8443, 8098, 8081)
            free = next(choice for choice in choices if choice not in ports)
            yield Problem(
                (name, "port"),
                f"{name}.port is {port}, the same as {owners[port]}",
                fix=f"sudo tljh-config set {name}.port {free}",
            )
        owners.setdefault(port, f"{name}.port")


def find_contradictions(config: Config) -> Iterator[Problem]:
    """Yield what is wrong with the settings of the proxy together."""
    yield from find_certificate_problems(config)
    yield from find_acme_problems(config)
    yield from _find_port_clashes(config)
    yield from _find_route_clashes(config)
    yield from _find_public_url_problem(config)
    yield from _find_launch_problems(config)


def _find_public_url_problem(config: Config) -> Iterator[Problem]:
    """Yield a public URL that JupyterHub would not start with."""
    url = config.traitlets.get("JupyterHub", {}).get("public_url")
    if not url or not isinstance(url, str):
        return
    parts = urlsplit(url)
    right = urlunsplit((parts.scheme, parts.netloc, config.base_url, "", ""))
    if parts.scheme not in ("http", "https") or not parts.netloc or url != right:
        example = right if parts.scheme and parts.netloc else f"https://NAME{config.base_url}"
        yield Problem(
            ("JupyterHub", "public_url"),
            f"JupyterHub.public_url must be the hub's whole address, with base_url: not {url!r}",
            fix=f"sudo tljh-config set JupyterHub.public_url {quote(example)}",
            severity="incomplete",
        )


def _find_launch_problems(config: Config) -> Iterator[Problem]:
    """Yield why the servers of temporary users could not be reached or removed."""
    if config.launch.enabled and config.hub.mode == "full":
        yield Problem(
            ("launch", "enabled"),
            "launch.enabled is true, but hub.mode is full",
            why="in this mode a browser needs a login at the hub to reach a server",
            fix="sudo tljh-config set hub.mode no-pages-at-root",
            severity="incomplete",
        )
    if config.launch.enabled and TEMPORARY_GROUP in config.groups:
        yield Problem(
            ("groups", TEMPORARY_GROUP),
            f"groups has {TEMPORARY_GROUP}, which are the temporary users of launch",
            why="the hub would remove them from the group, and the launcher loses them",
            fix="choose another name",
        )


def _find_route_clashes(config: Config) -> Iterator[Problem]:
    """Yield each extra route that would take requests of the hub or of users' servers."""
    base_url = config.base_url
    for route, target in config.proxy.extra_routes.items():
        path = ("proxy", "extra_routes", route)
        private = next((each for each in _PRIVATE if f"{target}/".startswith(each)), None)
        if target == "/" or private:
            yield Problem(
                path,
                f"proxy.extra_routes would publish {target}",
                why="it holds files of the system or of users",
                fix="copy the files to a directory such as /srv/site",
            )
        if route == base_url and config.hub.mode == "full":
            yield Problem(
                path,
                f"proxy.extra_routes has {route}, which the hub itself serves",
                why="hub.mode is full: the hub answers all addresses without a running server",
                fix="sudo tljh-config set hub.mode no-pages-at-root",
                at_key=True,
                severity="incomplete",
            )
        for name in ("hub/", "user/"):
            if route.startswith(f"{base_url}{name}"):
                yield Problem(
                    path,
                    f"proxy.extra_routes has {route}, below {base_url}{name}",
                    why="it would take requests of the hub or of users' servers",
                    fix="choose another path",
                    at_key=True,
                )
        if not route.startswith(base_url) and base_url.startswith(route) and route != "/":
            yield Problem(
                path,
                f"proxy.extra_routes has {route}, which base_url is below",
                fix=f"choose another path, such as {base_url}launcher/",
                at_key=True,
            )


def find_certificate_problems(config: Config) -> Iterator[Problem]:
    """Yield what is wrong with the source of certificates."""
    https = config.https
    tls, acme = https.tls, https.letsencrypt
    for have, lack in (("cert", "key"), ("key", "cert")):
        if getattr(tls, have) and not getattr(tls, lack):
            yield Problem(
                ("https", "tls", have),
                f"https.tls.{have} is set, but https.tls.{lack} is not",
                fix=f"sudo tljh-config set https.tls.{lack} /path/to/the/{lack}",
                severity="incomplete",
            )
    if not https.enabled:
        return
    has_tls, has_acme = bool(tls.cert or tls.key), bool(acme.domains or acme.email)
    if https.mode is None and not has_tls and not has_acme:
        yield Problem(
            ("https", "enabled"),
            "https.enabled is true, but no source of certificates is set",
            fix="set https.letsencrypt.domains and https.letsencrypt.email for Let's Encrypt; or "
            "https.tls.cert and https.tls.key for your certificate; or https.mode internal for a "
            "certificate authority on this machine. Until then: "
            "sudo tljh-config set https.enabled false",
            severity="incomplete",
        )
    if https.mode is None and has_tls and has_acme:
        yield Problem(
            ("https",),
            "https.tls and https.letsencrypt are both set, but https.mode is not",
            fix="sudo tljh-config set https.mode tls",
            at_key=True,
            severity="incomplete",
        )
    if https.mode == "tls" and not has_tls:
        yield Problem(
            ("https", "mode"),
            "https.mode is tls, but https.tls.cert and https.tls.key are not set",
            fix="sudo tljh-config set https.tls.cert /path/to/the/cert",
            severity="incomplete",
        )
    if https.mode == "letsencrypt" or (https.mode is None and has_acme):
        path: KeyPath = ("https", "letsencrypt") if has_acme else ("https", "mode")
        for key, example in (("email", "you@example.org"), ("domains", "hub.example.org")):
            if not getattr(acme, key):
                verb = "add-item" if key == "domains" else "set"
                yield Problem(
                    path,
                    f"https.letsencrypt.{key} is missing, which Let's Encrypt needs",
                    fix=f"sudo tljh-config {verb} https.letsencrypt.{key} {quote(example)}",
                    severity="incomplete",
                    at_key=has_acme,
                )


def find_acme_problems(config: Config) -> Iterator[Problem]:
    """Yield what is wrong with the settings of Let's Encrypt or another ACME authority."""
    acme = config.https.letsencrypt
    section = ("https", "letsencrypt")
    wildcards = [index for index, name in enumerate(acme.domains) if name.startswith("*.")]
    if wildcards and acme.dns.provider is None:
        yield Problem(
            (*section, "domains", wildcards[0]),
            f"a certificate for {acme.domains[wildcards[0]]} needs https.letsencrypt.dns.provider",
            why="authorities issue wildcard certificates only after validation by DNS",
            fix="sudo tljh-config set https.letsencrypt.dns.provider NAME",
            severity="incomplete",
        )
    needs = acme.dns.provider not in (None, *WAITS_ITSELF)
    if needs and acme.dns.credentials is None:
        yield Problem(
            (*section, "dns", "provider"),
            f"https.letsencrypt.dns.credentials is missing, which {acme.dns.provider} needs",
            fix="sudo tljh-config set https.letsencrypt.dns.credentials "
            f"/root/{acme.dns.provider}.ini",
            severity="incomplete",
        )
    if acme.staging and acme.server:
        yield Problem(
            (*section, "staging"),
            "https.letsencrypt.staging and https.letsencrypt.server are both set",
            why="staging means Let's Encrypt's test authority",
            fix="sudo tljh-config set https.letsencrypt.staging false",
            severity="incomplete",
        )
