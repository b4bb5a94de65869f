"""Instructions for trusting this machine's own certificate authority (CA)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tljh.base.well_known import AUTHORITY_PAGE
from tljh.certificates.local_authority import Authority
from tljh.certificates.machine_names import LOOPBACK, is_address
from tljh.certificates.x509 import read_details
from tljh.settings.derived import join_address

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class TrustAdvice:
    """The URL of the CA's certificate, and the fingerprint to compare it with."""

    url: str
    fingerprint: str

    def as_text(self) -> str:
        return "\n".join(
            [
                "This hub has its own certificate authority, which each browser must trust once:",
                f"  {self.url}",
                f"  SHA-256 {self.fingerprint}",
                "  (compare it before you trust it: the download is not protected)",
                "Windows   certutil -addstore -user Root FILE",
                "macOS     sudo security add-trusted-cert -d -r trustRoot "
                "-k /Library/Keychains/System.keychain FILE",
                "Debian    sudo cp FILE /usr/local/share/ca-certificates/ && "
                "sudo update-ca-certificates",
                "Firefox   Settings, Certificates, View Certificates, Authorities, Import",
                "iOS       open it, then Settings, Profile; General, About, Trust Settings",
                "Android   Settings, Security, Install from storage, CA certificate",
            ]
        )

    def as_json(self) -> dict[str, str]:
        return {"url": self.url, "fingerprint": self.fingerprint}


def build_trust_advice(config: Config, authority: Authority) -> TrustAdvice:
    return TrustAdvice(build_authority_url(config, authority), authority.fingerprint)


def build_authority_url(config: Config, authority: Authority) -> str:
    """Return the URL from which browsers load the local CA's certificate.

    It is plain HTTP: before the certificate is trusted, HTTPS shows a warning.
    """
    names = read_details(authority.hub).names
    # Other computers may not know the machine's own host name. So an address comes before it.
    addresses = [name for name in names if is_address(name) and name not in LOOPBACK]
    name = [*config.https.domains, *addresses, *names][0]
    port = config.http.port
    host = join_address(name, port) if port != 80 else join_address(name, 80).removesuffix(":80")
    return f"http://{host}{config.base_url}hub/{AUTHORITY_PAGE}"
