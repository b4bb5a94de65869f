"""What people are told who shall trust the machine's own authority."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh.proxy.certificates.internal import Authority
from tljh.proxy.certificates.pair import details
from tljh.proxy.dynamic import AUTHORITY_PAGE
from tljh.proxy.static import join_address

if TYPE_CHECKING:
    from tljh.config import Config

FILE = "jupyterhub-authority.crt"


def authority_url(config: Config, authority: Authority) -> str:
    """Where the authority's certificate is given away: over plain HTTP, as it comes first."""
    name = details(authority.hub).names[0]
    port = config.http.port
    host = join_address(name, port) if port != 80 else join_address(name, 80).removesuffix(":80")
    return f"http://{host}{config.base_url}hub/{AUTHORITY_PAGE}"


def how_to_trust(config: Config, authority: Authority) -> str:
    """For the end of a `reload` that made a new authority."""
    return "\n".join(
        [
            "This hub has a new authority of its own, which each browser has to trust once:",
            f"  {authority_url(config, authority)}",
            f"  SHA-256 {authority.fingerprint}",
            "  (compare it before you trust it: the address is not protected yet)",
            "Windows   certutil -addstore -user Root FILE",
            "macOS     sudo security add-trusted-cert -d -r trustRoot "
            "-k /Library/Keychains/System.keychain FILE",
            "Debian    sudo cp FILE /usr/local/share/ca-certificates/ && "
            "sudo update-ca-certificates",
            "Firefox   Settings, Certificates, View Certificates, Authorities, Import",
            "iOS       open it, then Settings: Profile Downloaded; General, About, Trust Settings",
            "Android   Settings, Security, Install from storage, CA certificate",
        ]
    )
