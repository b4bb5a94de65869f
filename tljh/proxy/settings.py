"""The settings of the proxy: where it listens, its certificates, and its API."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from tljh.proxy.certificates.dns import WAITS_ITSELF, Provider
from tljh.settings import Cost, Problem, Section, section, setting

if TYPE_CHECKING:
    from tljh.config import Config

# The hub itself listens here, on loopback.
HUB_PORT = 15001

_LABEL = re.compile(r"^(?!-)[a-z0-9-]{1,63}(?<!-)$")
_EMAIL = re.compile(r"^[^@\s\"'`{}<>,;]+@[^@\s\"'`{}<>,;]+\.[^@\s\"'`{}<>,;]+$")
_URL = re.compile(r"^https?://[^\s\"'`{}<>]+$")

HSTS_S = 180 * 24 * 3600

HttpsMode = Literal["letsencrypt", "tls", "internal"]


def _address(value: str) -> str:
    if not value:
        return value
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(
            f"must be an IP address of this machine, or empty for all, not {value!r}"
        ) from None


def _loopback(value: str) -> str:
    try:
        is_loopback = ipaddress.ip_address(value).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ValueError(f"must be a loopback address like 127.0.0.1, not {value!r}")
    return value


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError(
            f"must be an IP address or a network like 10.0.0.0/8, not {value!r}"
        ) from None


def _host_name(value: str) -> str:
    name = value.lower()
    if name.startswith("*."):
        raise ValueError(f"must be a host name, not a pattern like {value!r}")
    if not name.isascii():
        raise ValueError(f"must be written in its ASCII form (xn--…), not {value!r}")
    labels = name.split(".")
    is_address = all(label.isdigit() for label in labels)
    if len(name) > 253 or is_address or not all(_LABEL.match(label) for label in labels):
        raise ValueError(f"must be a host name like hub.example.org, not {value!r}")
    return name


def _host(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return _host_name(value)


def _email(value: str) -> str:
    if value and not _EMAIL.match(value):
        raise ValueError(f"must be an e-mail address like admin@example.org, not {value!r}")
    return value


def _file_path(value: str) -> str:
    if value and not value.startswith("/"):
        raise ValueError(f"must be a whole path that begins with /, not {value!r}")
    if re.search(r"[\x00-\x1f\"`{}]", value):
        raise ValueError(f"has a character that cannot be in a path here: {value!r}")
    return value


def _url(value: str) -> str:
    if not _URL.match(value):
        raise ValueError(f"must be a URL like https://ca.example.org/directory, not {value!r}")
    return value


def _acme_name(value: str) -> str:
    """A host name, or all names one level below it."""
    return f"*.{_host_name(value[2:])}" if value.startswith("*.") else _host_name(value)


Port = Annotated[int, Field(ge=1, le=65535)]
Address = Annotated[str, AfterValidator(_address)]
LoopbackAddress = Annotated[str, AfterValidator(_loopback)]
Network = Annotated[str, AfterValidator(_network)]
HostName = Annotated[str, AfterValidator(_host_name)]
Host = Annotated[str, AfterValidator(_host)]
AcmeName = Annotated[str, AfterValidator(_acme_name)]
Email = Annotated[str, AfterValidator(_email)]
FilePath = Annotated[str, AfterValidator(_file_path)]
Url = Annotated[str, AfterValidator(_url)]


class HttpSettings(Section):
    """Plain HTTP; with HTTPS enabled it only redirects there."""

    address: Address = setting(
        "",
        help="IP address to listen on; empty for all addresses of the machine.",
        cost=Cost.PROXY_RELOAD,
        example="127.0.0.1",
    )
    port: Port = setting(80, help="Port to listen on.", cost=Cost.PROXY_RELOAD, example="8080")


class TlsSettings(Section):
    """A certificate of your own."""

    cert: FilePath = setting(
        "",
        help="File with the certificate and its chain, PEM.",
        cost=Cost.PROXY_RELOAD,
        example="/etc/ssl/hub.crt",
    )
    key: FilePath = setting(
        "",
        help="File with the certificate's private key, PEM, without a passphrase.",
        cost=Cost.PROXY_RELOAD,
        example="/etc/ssl/private/hub.key",
    )


class DnsSettings(Section):
    """Proving by DNS that names are ours: for hubs that cannot be reached, and for wildcards."""

    provider: Provider | None = setting(
        None,
        help="Who serves the names' DNS; null to prove them over HTTP.",
        cost=Cost.REBUILD,
        example="rfc2136",
    )
    credentials: FilePath | None = setting(
        None,
        help="File with what the provider asks for, as certbot's plugin for it documents; "
        "readable by root alone.",
        cost=Cost.PROXY_RELOAD,
        example="/root/rfc2136.ini",
    )
    propagation_s: int = setting(
        60,
        help="Seconds until a change has reached all of the provider's servers.",
        cost=Cost.NOTHING,
        ge=1,
        le=3600,
    )


class LetsencryptSettings(Section):
    """Certificates from Let's Encrypt, or from another authority that speaks ACME."""

    email: Email = setting(
        "",
        help="Address that the authority writes to when a certificate is in trouble.",
        cost=Cost.PROXY_RELOAD,
        example="admin@example.org",
    )
    domains: list[AcmeName] = setting(
        [],
        help="Host names of this hub, which the certificate is for; "
        "*.example.org too, with letsencrypt.dns.",
        cost=Cost.PROXY_RELOAD,
        example="hub.example.org",
    )
    staging: bool = setting(
        False,
        help="Whether to ask the test authority, whose certificates browsers do not trust.",
        cost=Cost.PROXY_RELOAD,
    )
    server: Url | None = setting(
        None,
        help="Directory URL of another ACME authority; null for Let's Encrypt.",
        cost=Cost.PROXY_RELOAD,
        example="https://ca.example.org/acme/directory",
    )
    ca_bundle: FilePath | None = setting(
        None,
        help="File with the certificates to trust when talking to that authority, PEM.",
        cost=Cost.PROXY_RELOAD,
        example="/etc/ssl/our-ca.pem",
    )
    eab: FilePath | None = setting(
        None,
        help="File with the external account that some authorities ask for: two lines, "
        "kid = … and hmac_key = …; readable by root alone.",
        cost=Cost.PROXY_RELOAD,
        example="/root/eab.txt",
    )
    key_type: Literal["ecdsa", "rsa"] = setting(
        "ecdsa", help="Kind of the certificate's key.", cost=Cost.PROXY_RELOAD
    )
    profile: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] | None = setting(
        None,
        help="Kind of certificate, of those that the authority offers; null for its default.",
        cost=Cost.PROXY_RELOAD,
        example="shortlived",
    )
    dns: DnsSettings = section(DnsSettings, help="Proving names by DNS.")


class HttpsSettings(Section):
    """Encrypted HTTP."""

    enabled: bool = setting(
        False, help="Whether the hub is served over HTTPS.", cost=Cost.PROXY_RELOAD
    )
    address: Address = setting(
        "",
        help="IP address to listen on; empty for all addresses of the machine.",
        cost=Cost.PROXY_RELOAD,
    )
    port: Port = setting(443, help="Port to listen on.", cost=Cost.PROXY_RELOAD, example="8443")
    mode: HttpsMode | None = setting(
        None,
        help="Where certificates come from: letsencrypt, tls (your own files) or internal "
        "(an authority of this machine's own); null for whichever is configured.",
        cost=Cost.PROXY_RELOAD,
    )
    hsts: Annotated[int, Field(ge=0, le=63_072_000)] | None = setting(
        None,
        help="Seconds for which browsers shall come by HTTPS only (HSTS); 0 for none, null for "
        "180 days where that is safe: on port 443, and not in mode internal.",
        cost=Cost.PROXY_RELOAD,
        example="31536000",
    )
    domains: list[Host] = setting(
        [],
        help="Host names or addresses by which people reach the hub; the first is in links. "
        "Let's Encrypt has a list of its own, https.letsencrypt.domains.",
        cost=Cost.PROXY_RELOAD,
        example="hub.example.org",
    )
    tls: TlsSettings = section(TlsSettings, help="A certificate of your own.")
    letsencrypt: LetsencryptSettings = section(
        LetsencryptSettings, help="Certificates from Let's Encrypt."
    )

    @property
    def names(self) -> list[str]:
        """By which names people reach the hub, as far as the configuration says."""
        if self.effective_mode == "letsencrypt" or not self.domains:
            return self.letsencrypt.domains
        return self.domains

    @property
    def effective_mode(self) -> HttpsMode | None:
        """Where certificates come from; None while HTTPS is off or not configured."""
        if not self.enabled:
            return None
        if self.mode is not None:
            return self.mode
        if self.tls.cert and self.tls.key:
            return "tls"
        return "letsencrypt" if self.letsencrypt.domains else None


def hsts_s(https: HttpsSettings) -> int:
    """For how long browsers are told to come by HTTPS only.

    It holds for a host name with all its ports, and takes away the way past a warning. So it
    is not sent by itself where the hub is a guest beside another server on 443, nor with an
    authority that browsers do not trust by themselves (Let's Encrypt's test authority is
    one): a LAN host has other services, and who meets the hub from a new computer must be
    able to get at the page that explains.
    """
    if https.hsts is not None:
        return https.hsts
    mode = https.effective_mode
    is_test = mode == "letsencrypt" and https.letsencrypt.staging
    return HSTS_S if https.port == 443 and mode != "internal" and not is_test else 0


class TraefikApiSettings(Section):
    """Traefik's own API, by which the hub looks at its routes."""

    ip: LoopbackAddress = setting(
        "127.0.0.1", help="Loopback address to listen on.", cost=Cost.PROXY_RELOAD
    )
    port: Port = setting(8099, help="Port to listen on.", cost=Cost.PROXY_RELOAD)
    username: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = setting(
        "api_admin", help="Name for basic authentication.", cost=Cost.PROXY_RELOAD
    )
    password: str = setting(
        "",
        help="Password for basic authentication; empty for one that is made up and kept.",
        cost=Cost.PROXY_RELOAD,
        secret=True,
    )


class ProxySettings(Section):
    """How the proxy hands over when its configuration changes."""

    drain_timeout_s: int = setting(
        86_400,
        help="Seconds that open web sockets live on after a change of the proxy's listeners.",
        cost=Cost.PROXY_RELOAD,
        ge=0,
        le=604_800,
    )


def _https_source(config: Config) -> Iterator[Problem]:
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
            fix="name a certificate of yours by https.tls.cert and https.tls.key, or: "
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


def _acme(config: Config) -> Iterator[Problem]:
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
    yield from _https_source(config)
    yield from _acme(config)
    yield from _port_clashes(config)
