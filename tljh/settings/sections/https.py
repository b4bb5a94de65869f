"""Settings of HTTPS: where it listens, and where certificates come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tljh.settings.declaration import Cost, Section, section, setting
from tljh.settings.value_types import (
    AcmeName,
    Address,
    Duration,
    Email,
    FilePath,
    Host,
    Port,
    Seconds,
    Url,
)

HSTS_S = 180 * 24 * 3600


HttpsMode = Literal["letsencrypt", "tls", "internal"]


Provider = Literal[
    "cloudflare",
    "digitalocean",
    "dnsimple",
    "dnsmadeeasy",
    "gehirn",
    "google",
    "linode",
    "luadns",
    "nsone",
    "ovh",
    "rfc2136",
    "route53",
    "sakuracloud",
]


# These report when a change has reached all of their servers, so propagation_s is not used.
WAITS_ITSELF = frozenset({"route53"})


# No certificate chain is larger; a larger file is named by mistake and is not read.
MOST_FILE_BYTES = 1 << 20


class TlsSettings(Section):
    """A certificate from files."""

    cert: FilePath = setting(
        "",
        help="File with the certificate and its chain, in PEM form.",
        cost=Cost.PROXY_RELOAD,
        example="/etc/ssl/hub.crt",
    )
    key: FilePath = setting(
        "",
        help="File with the private key of the certificate, in PEM form, without a passphrase.",
        cost=Cost.PROXY_RELOAD,
        example="/etc/ssl/private/hub.key",
    )


class DnsSettings(Section):
    """Validation of host names by DNS: for hubs that the authority cannot reach, and wildcards."""

    provider: Provider | None = setting(
        None,
        help="Provider of the domain's DNS; null for validation over HTTP.",
        cost=Cost.REBUILD,
        example="rfc2136",
    )
    credentials: FilePath | None = setting(
        None,
        help="File with the provider's credentials, in the form of certbot's plugin for it; "
        "readable by root alone.",
        cost=Cost.PROXY_RELOAD,
        example="/root/rfc2136.ini",
    )
    propagation_s: Seconds = setting(
        60,
        help="Seconds until a change has reached all servers of the provider.",
        cost=Cost.NOTHING,
        ge=1,
        le=3600,
    )


class LetsencryptSettings(Section):
    """Certificates from Let's Encrypt or another ACME authority."""

    email: Email = setting(
        "",
        help="Address to which the authority reports problems with a certificate.",
        cost=Cost.PROXY_RELOAD,
        example="admin@example.org",
    )
    domains: list[AcmeName] = setting(
        [],
        help="Host names of the certificate; a wildcard such as *.example.org needs "
        "letsencrypt.dns.",
        cost=Cost.PROXY_RELOAD,
        example="hub.example.org",
    )
    staging: bool = setting(
        False,
        help="Whether to use Let's Encrypt's test authority, which browsers do not trust.",
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
        help="File with the certificates to trust in connections to that authority, in PEM form.",
        cost=Cost.PROXY_RELOAD,
        example="/etc/ssl/our-ca.pem",
    )
    eab: FilePath | None = setting(
        None,
        help="File with the external account (EAB) that some authorities require: two lines, "
        "kid = … and hmac_key = …; readable by root alone.",
        cost=Cost.PROXY_RELOAD,
        example="/root/eab.txt",
    )
    key_type: Literal["ecdsa", "rsa"] = setting(
        "ecdsa", help="Type of the certificate's key.", cost=Cost.PROXY_RELOAD
    )
    profile: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] | None = setting(
        None,
        help="Certificate profile of the authority; null for its default.",
        cost=Cost.PROXY_RELOAD,
        example="shortlived",
    )
    dns: DnsSettings = section(DnsSettings, help="Validation of host names by DNS.")


class HttpsSettings(Section):
    """HTTPS and its certificates."""

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
        help="Source of certificates: letsencrypt, tls (your files) or internal (a certificate "
        "authority on this machine); null for the one that is configured.",
        cost=Cost.PROXY_RELOAD,
    )
    hsts: Annotated[int, Duration(1), Field(ge=0, le=63_072_000)] | None = setting(
        None,
        help="Seconds for which browsers use HTTPS only (HSTS); 0 for none, null for 180 days "
        "where that is safe: on port 443, and not in mode internal.",
        cost=Cost.PROXY_RELOAD,
        example="31536000",
    )
    domains: list[Host] = setting(
        [],
        help="Host names or addresses by which users reach the hub; links use the first. "
        "Let's Encrypt has its own list, https.letsencrypt.domains.",
        cost=Cost.PROXY_RELOAD,
        example="hub.example.org",
    )
    tls: TlsSettings = section(TlsSettings, help="A certificate from files.")
    letsencrypt: LetsencryptSettings = section(
        LetsencryptSettings, help="Certificates from Let's Encrypt."
    )

    @property
    def names(self) -> list[str]:
        """Names by which users reach the hub, as far as they are configured."""
        if self.effective_mode == "letsencrypt" or not self.domains:
            return self.letsencrypt.domains
        return self.domains

    @property
    def effective_mode(self) -> HttpsMode | None:
        """Source of certificates; None while HTTPS is off or not configured."""
        if not self.enabled:
            return None
        if self.mode is not None:
            return self.mode
        if self.tls.cert and self.tls.key:
            return "tls"
        return "letsencrypt" if self.letsencrypt.domains else None
