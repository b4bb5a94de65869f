"""Facts about certificates: the admin's own files, and this machine's certificate authority."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.certificates.local_authority import Authority, read_authority
from tljh.certificates.own_files import read_files
from tljh.host.interface import HostReader

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class CertificateFacts:
    """Contents of `https.tls`'s files by path (None: unreadable), and the machine's own CA."""

    files: Mapping[str, bytes | None] = field(default_factory=dict)
    authority: Authority | None = None


def read(host: HostReader, config: Config, paths: Paths) -> CertificateFacts:
    """Read the certificates that the configured HTTPS mode needs."""
    is_own = config.https.effective_mode == "tls"
    return CertificateFacts(
        files=read_files(host, config.https) if is_own else {},
        authority=read_authority(host, paths.local_ca, config.https),
    )
