"""Proxy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tljh.base.well_known import HUB_PORT
from tljh.settings.declaration import Problem, Section
from tljh.settings.sections.https import WAITS_ITSELF

if TYPE_CHECKING:
    from tljh.settings.root import Config


def _port_clashes(config: Config) -> Iterator[Problem]:
    sections: list[tuple[str, Section, int]] = [
        ("http", config.http, 80),
        ("traefik_api", config.traefik_api, 8099),
    ]
    if config.https.enabled:
        sections.insert(1, ("https", config.https, 443))
    # Defaults first: of two that clash, the one that somebody chose is the one to name.
    sections.sort(key=lambda one: "port" in one[1].model_fields_set)
    taken = {HUB_PORT: "the hub itself"}
    for name, chosen, default in sections:
        port: int = getattr(chosen, "port")  # noqa: B009 - all three have one
        if port in taken:
            others = {getattr(other, "port") for _, other, _ in sections}  # noqa: B009
            free = next(one for one in (default, 8080, 8443, 8098, 8081) if one not in others)
            yield Problem(
                (name, "port"),
                f"{name}.port is {port}, which {taken[port]} has already",
                fix=f"sudo tljh-config set {name}.port {free}",
            )
        taken.setdefault(port, f"{name}.port")


def contradictions(config: Config) -> Iterator[Problem]:
    """What is wrong with the proxy's settings taken together."""
    yield from certificate_problems(config)
    yield from acme_problems(config)
    yield from _port_clashes(config)


def certificate_problems(config: Config) -> Iterator[Problem]:
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
            "https.enabled is true, but nothing says where certificates come from",
            fix="set https.letsencrypt.domains and https.letsencrypt.email for Let's Encrypt; or "
            "https.tls.cert and https.tls.key for a certificate of yours; or https.mode internal "
            "for an authority of this machine's own. Until then: "
            "sudo tljh-config set https.enabled false",
            severity="incomplete",
        )
    if https.mode is None and has_tls and has_acme:
        yield Problem(
            ("https",),
            "https.tls and https.letsencrypt are both set, and nothing says which one to use",
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
        place: tuple[str, ...] = ("https", "letsencrypt") if has_acme else ("https", "mode")
        for key, example in (("email", "you@example.org"), ("domains", "hub.example.org")):
            if not getattr(acme, key):
                verb = "add-item" if key == "domains" else "set"
                yield Problem(
                    place,
                    f"https.letsencrypt.{key} is missing, which Let's Encrypt needs",
                    fix=f"sudo tljh-config {verb} https.letsencrypt.{key} {example}",
                    severity="incomplete",
                    at_key=has_acme,
                )


def acme_problems(config: Config) -> Iterator[Problem]:
    acme = config.https.letsencrypt
    at = ("https", "letsencrypt")
    wildcards = [n for n, name in enumerate(acme.domains) if name.startswith("*.")]
    if wildcards and acme.dns.provider is None:
        yield Problem(
            (*at, "domains", wildcards[0]),
            f"a certificate for {acme.domains[wildcards[0]]} needs https.letsencrypt.dns.provider",
            why="authorities vouch for all names of a domain only when its DNS says so",
            fix="sudo tljh-config set https.letsencrypt.dns.provider NAME",
            severity="incomplete",
        )
    needs = acme.dns.provider not in (None, *WAITS_ITSELF)
    if needs and acme.dns.credentials is None:
        yield Problem(
            (*at, "dns", "provider"),
            f"https.letsencrypt.dns.credentials is missing, which {acme.dns.provider} needs",
            fix="sudo tljh-config set https.letsencrypt.dns.credentials "
            f"/root/{acme.dns.provider}.ini",
            severity="incomplete",
        )
    if acme.staging and acme.server:
        yield Problem(
            (*at, "staging"),
            "https.letsencrypt.staging and https.letsencrypt.server are both set",
            why="staging is Let's Encrypt's own test authority",
            fix="sudo tljh-config set https.letsencrypt.staging false",
            severity="incomplete",
        )
