"""DNS challenges: certbot's plugins, their options, and their packages."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from tljh.settings.sections.https import WAITS_ITSELF, Provider

if TYPE_CHECKING:
    from tljh.certificates.acme_request import AcmeRequest
    from tljh.settings.root import Config

PROVIDERS: tuple[str, ...] = get_args(Provider)


# Names that a file of credentials must have; | separates alternatives. The plugin checks the rest.
NEEDED_LINES = {
    "cloudflare": ("dns_cloudflare_api_token|dns_cloudflare_api_key",),
    "digitalocean": ("dns_digitalocean_token",),
    "dnsimple": ("dns_dnsimple_token",),
    "dnsmadeeasy": ("dns_dnsmadeeasy_api_key", "dns_dnsmadeeasy_secret_key"),
    "gehirn": ("dns_gehirn_api_token", "dns_gehirn_api_secret"),
    "google": ('"private_key"',),
    "linode": ("dns_linode_key",),
    "luadns": ("dns_luadns_email", "dns_luadns_token"),
    "nsone": ("dns_nsone_api_key",),
    "ovh": (
        "dns_ovh_endpoint",
        "dns_ovh_application_key|dns_ovh_client_id",
    ),
    "rfc2136": ("dns_rfc2136_server", "dns_rfc2136_name", "dns_rfc2136_secret"),
    "route53": ("aws_access_key_id", "aws_secret_access_key"),
    "sakuracloud": ("dns_sakuracloud_api_token", "dns_sakuracloud_api_secret"),
}


def get_plugin_packages(config: Config) -> list[str]:
    """Return the pip packages of certbot's plugin for the chosen DNS provider.

    They have no version: a plugin needs the version of certbot, which the lock has.
    """
    provider = config.https.letsencrypt.dns.provider
    return [f"certbot-dns-{provider}"] if provider else []


def build_plugin_options(request: AcmeRequest) -> list[str]:
    """Return certbot's options for a DNS challenge."""
    name = f"dns-{request.dns_provider}"
    options = ["--authenticator", name, "--preferred-challenges", "dns"]
    if request.dns_provider in WAITS_ITSELF:
        return options
    return [
        *options,
        *(f"--{name}-credentials", request.dns_credentials or ""),
        *(f"--{name}-propagation-seconds", str(request.dns_propagation_s)),
    ]


def build_plugin_environment(request: AcmeRequest) -> dict[str, str]:
    """Return the environment variables of certbot's DNS plugin.

    They name the file of the credentials and never hold the secrets.
    """
    if request.dns_provider == "route53" and request.dns_credentials:
        return {"AWS_SHARED_CREDENTIALS_FILE": request.dns_credentials}
    return {}


def find_missing_lines(provider: str, data: bytes) -> list[str]:
    """Return the keys that a DNS provider's credentials file needs and `data` lacks."""
    # Plugins accept names with - and with _.
    text = data.decode(errors="replace").replace("-", "_")
    return [
        line.replace("|", " or ")
        for line in NEEDED_LINES[provider]
        if not any(alternative in text for alternative in line.split("|"))
    ]
