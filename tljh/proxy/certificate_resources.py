"""A certificate as resources: obtaining it from an ACME server, and serving it in the same apply.

A certificate that the machine has already is ordinary files (tljh/proxy/resources.py). These two
are in the plan only if it must be obtained first. They come after the route of the ACME challenge,
which the server asks for, and before all that depends on HTTPS.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.clock import get_utc_time
from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.certificates.acme import AcmeSource
from tljh.engine.file_resources import read_image, restore_image
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod
from tljh.host.interface import Host, HostReader
from tljh.proxy.served_certificate import swap_certificate
from tljh.proxy.traefik_dynamic import DynamicInputs


@dataclass(frozen=True)
class ObtainedCertificate(Resource):
    """A valid certificate for the request's names.

    A rollback keeps it, and the next apply uses it.
    """

    source: AcmeSource

    kind: ClassVar[str] = "certificate"
    rollback: ClassVar[RollbackMethod] = RollbackMethod.ONE_WAY

    @property
    def name(self) -> str:
        return ", ".join(self.source.names)

    def difference(self, host: HostReader) -> Difference | None:
        if self.source.valid_pair(host, get_utc_time()) is not None:
            return None
        return Difference("+", f"from {self.source.authority}")

    def before(self, host: HostReader) -> Record:
        return {}

    def apply(self, host: Host, progress: Progress) -> None:
        self.source.obtain(host, progress)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        """Keep the certificate: a CA issues only a few for the same names each week."""


@dataclass(frozen=True)
class ServedCertificate(Resource):
    """Traefik's files for a certificate that an earlier step of the same plan obtains."""

    source: AcmeSource
    inputs: DynamicInputs

    kind: ClassVar[str] = "tls-file"

    @property
    def _tls_file(self) -> Path:
        return self.inputs.paths.traefik_tls_file

    @property
    def name(self) -> str:
        return str(self._tls_file)

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("~" if host.info(self._tls_file) else "+", "names the new certificate")

    def before(self, host: HostReader) -> Record:
        certs = self.inputs.paths.traefik_certs
        return {
            "certs": str(certs),
            "pairs": host.listdir(certs),
            "tls": read_image(host, self._tls_file),
        }

    def apply(self, host: Host, progress: Progress) -> None:
        certificate = self.source.valid_pair(host, get_utc_time())
        if certificate is None:
            raise TljhError(f"there is no certificate for {', '.join(self.source.names)}")
        swap_certificate(host, self.inputs, certificate)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        restore_image(host, record["tls"])
        certs = Path(record["certs"])
        for name in host.listdir(certs):
            if name not in record["pairs"]:
                host.remove(certs / name)
