"""The settings of HTTPS: where it listens, and where certificates come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tljh.settings.declaration import Cost, Section, section, setting
from tljh.settings.value_types import AcmeName, Address, Email, FilePath, Host, Port, Url

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


# Knows by itself when a change has reached all of its servers.
WAITS_ITSELF = frozenset({"route53"})


# More than any chain takes: a file that is named by mistake is not read as a whole.
MOST_FILE_BYTES = 1 << 20


class TlsSettings(Section):
    """Your own certificate."""

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
        help="Provider of the names' DNS; null to prove the names over HTTP.",
        cost=Cost.REBUILD,
        example="rfc2136",
    )
    credentials: FilePath | None = setting(
        None,
        help="File with the provider's credentials, as certbot's plugin documents it; readable "
        "by root only.",
        cost=Cost.PROXY_RELOAD,
        example="/root/rfc2136.ini",
    )
    propagation_s: int = setting(
        60,
        help="Seconds until a change has reached all of the provider's name servers.",
        cost=Cost.NOTHING,
        ge=1,
        le=3600,
    )


class LetsencryptSettings(Section):
    """Certificates from Let's Encrypt, or from another authority that speaks ACME."""

    email: Email = setting(
        "",
        help="E-mail address that the authority writes to when a certificate has a problem.",
        cost=Cost.PROXY_RELOAD,
        example="admin@example.org",
    )
    domains: list[AcmeName] = setting(
        [],
        help="Host names of this hub, for the certificate; *.example.org too, with "
        "letsencrypt.dns.",
        cost=Cost.PROXY_RELOAD,
        example="hub.example.org",
    )
    staging: bool = setting(
        False,
        help="Whether to use the test authority, whose certificates browsers do not trust.",
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
        help="File with the certificates to trust for connections to that authority, PEM.",
        cost=Cost.PROXY_RELOAD,
        example="/etc/ssl/our-ca.pem",
    )
    eab: FilePath | None = setting(
        None,
        help="File with the external account that some authorities need: two lines, kid = … and "
        "hmac_key = …; readable by root only.",
        cost=Cost.PROXY_RELOAD,
        example="/root/eab.txt",
    )
    key_type: Literal["ecdsa", "rsa"] = setting(
        "ecdsa", help="Kind of the certificate's key.", cost=Cost.PROXY_RELOAD
    )
    profile: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] | None = setting(
        None,
        help="Kind of certificate, one of those that the authority offers; null for its default.",
        cost=Cost.PROXY_RELOAD,
        example="shortlived",
    )
    dns: DnsSettings = section(DnsSettings, help="Proof of names by DNS.")


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
        help="Where certificates come from: letsencrypt, tls (your own files) or internal (the "
        "machine's own CA); null for the one that is configured.",
        cost=Cost.PROXY_RELOAD,
    )
    hsts: Annotated[int, Field(ge=0, le=63_072_000)] | None = setting(
        None,
        help="Seconds for which browsers use HTTPS only (HSTS); 0 for none, null for 180 days "
        "where that is safe: on port 443, and not in mode internal.",
        cost=Cost.PROXY_RELOAD,
        example="31536000",
    )
    domains: list[Host] = setting(
        [],
        help="Host names or addresses by which users reach the hub; the first is in links. Let's "
        "Encrypt has a separate list, https.letsencrypt.domains.",
        cost=Cost.PROXY_RELOAD,
        example="hub.example.org",
    )
    tls: TlsSettings = section(TlsSettings, help="Your own certificate.")
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
