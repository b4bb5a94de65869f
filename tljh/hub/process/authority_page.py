"""`/hub/ca.crt`: the certificate of this machine's own certificate authority, to download.

It is not secret. Before users trust it, they compare its fingerprint.
"""

from __future__ import annotations

from jupyterhub.handlers.base import BaseHandler
from tornado import web

from tljh.base.paths import get_paths
from tljh.base.well_known import AUTHORITY_PAGE

FILE_NAME = "jupyterhub-authority.crt"


class AuthorityHandler(BaseHandler):
    """The CA certificate, without a login."""

    def get(self) -> None:
        certificate = get_paths().local_ca.certificate
        if not certificate.is_file():
            raise web.HTTPError(404)
        # With this type, phones offer to install the certificate.
        self.set_header("Content-Type", "application/x-x509-ca-cert")
        self.set_header("Content-Disposition", f'attachment; filename="{FILE_NAME}"')
        self.write(certificate.read_bytes())


HANDLERS = [(f"/{AUTHORITY_PAGE}", AuthorityHandler)]
