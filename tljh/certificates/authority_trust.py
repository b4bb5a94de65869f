"""What people are told who shall trust the machine's own authority."""

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
    """Where the authority's certificate is given away, and what to compare it with."""

    url: str
    fingerprint: str

    def as_text(self) -> str:
        return "\n".join(
            [
                "This hub has an authority of its own, which each browser has to trust once:",
                f"  {self.url}",
                f"  SHA-256 {self.fingerprint}",
                "  (compare it before you trust it: the address is not protected yet)",
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


def trust_advice(config: Config, authority: Authority) -> TrustAdvice:
    return TrustAdvice(authority_url(config, authority), authority.fingerprint)


def authority_url(config: Config, authority: Authority) -> str:
    """Where the authority's certificate is given away: over plain HTTP, as it comes first."""
    names = read_details(authority.hub).names
    # The machine's own idea of its name may mean nothing to others; an address does.
    reached = [name for name in names if is_address(name) and name not in LOOPBACK]
    name = [*config.https.domains, *reached, *names][0]
    port = config.http.port
    host = join_address(name, port) if port != 80 else join_address(name, 80).removesuffix(":80")
    return f"http://{host}{config.base_url}hub/{AUTHORITY_PAGE}"
