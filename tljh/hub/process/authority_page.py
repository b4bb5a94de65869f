"""`/hub/ca.crt`: the certificate of this machine's own certificate authority, to download.

It is not secret. Before users trust it, they compare its fingerprint.
"""

from __future__ import annotations

from pathlib import Path

from jupyterhub.handlers.base import BaseHandler
from tornado import web

from tljh.base.paths import paths_from_environment
from tljh.base.well_known import AUTHORITY_PAGE
from tljh.certificates.local_authority import AUTHORITY, DIRECTORY

FILE_NAME = "jupyterhub-authority.crt"


class AuthorityHandler(BaseHandler):
    """The CA certificate, without a login."""

    def get(self) -> None:
        certificate = read_certificate(paths_from_environment().state_dir)
        if certificate is None:
            raise web.HTTPError(404)
        # With this type, phones offer to install the certificate.
        self.set_header("Content-Type", "application/x-x509-ca-cert")
        self.set_header("Content-Disposition", f'attachment; filename="{FILE_NAME}"')
        self.write(certificate)


def read_certificate(state_dir: Path) -> bytes | None:
    path = state_dir / DIRECTORY / AUTHORITY
    return path.read_bytes() if path.is_file() else None


HANDLERS = [(f"/{AUTHORITY_PAGE}", AuthorityHandler)]
