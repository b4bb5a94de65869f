"""A question to the hub's port, for a program that runs every few minutes.

`Host.http` can do more, and takes as much time of the processor as all the rest of such a run.
"""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from tljh.base.paths import Paths
from tljh.host.hub_identity import find_hub_identity


def answers(url: str, timeout_s: float, paths: Paths) -> bool:
    """Return whether a server on the loopback answers a request with less than status 500."""
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    address = urlsplit(url)
    host, port = address.hostname or "", address.port
    identity = find_hub_identity(url, paths)
    connection: HTTPConnection | None = None
    try:
        if identity is None:
            connection = HTTPConnection(host, port, timeout=timeout_s)
        else:
            context = ssl.create_default_context(cafile=str(identity.authority))
            context.load_cert_chain(*identity.files)
            connection = HTTPSConnection(host, port, timeout=timeout_s, context=context)
        connection.request("GET", address.path)
        return connection.getresponse().status < 500
    except (OSError, HTTPException):
        return False
    finally:
        if connection is not None:
            connection.close()
