"""The settings of HTTPS: where it listens, and where certificates come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from tljh.proxy.certificates.dns import WAITS_ITSELF, Provider
from tljh.proxy.kinds import AcmeName, Address, Email, FilePath, Host, Port, Url
from tljh.settings import Cost, Problem, Section, section, setting

if TYPE_CHECKING:
    from tljh.config import Config

HSTS_S = 180 * 24 * 3600

HttpsMode = Literal["letsencrypt", "tls", "internal"]

# More than any chain takes: a file that is named by mistake is not read as a whole.
MOST_FILE_BYTES = 1 << 20


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


def hsts_s(https: HttpsSettings) -> int | None:
    """For how long browsers are told to come by HTTPS only; None for saying nothing of it.

    It holds for a host name with all its ports, and takes away the way past a warning. So
    nothing is said by itself where the hub is a guest beside another server on 443, which may
    say something else; and 0, for forgetting it, with an authority that browsers do not trust by
    themselves (Let's Encrypt's test authority is one): a LAN host has other services, and who
    meets the hub from a new computer must be able to get at the page that explains.
    """
    if https.hsts is not None:
        return https.hsts
    if https.port != 443:
        return None
    mode = https.effective_mode
    is_test = mode == "letsencrypt" and https.letsencrypt.staging
    return 0 if mode == "internal" or is_test else HSTS_S


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
