"""How commands reach the hub's own port with JupyterHub's `internal_ssl`: with the hub's own key.

Addresses of the hub are written as http:// everywhere. Which one it speaks is decided at each
request by the applied configuration: what an undo has recorded stays right after a switch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tljh.base.paths import Paths
from tljh.base.well_known import HUB_PORT

HUB_ORIGIN = f"http://127.0.0.1:{HUB_PORT}/"


@dataclass(frozen=True)
class HubIdentity:
    """Files with the hub's certificate and key, and the authority that signed its certificate."""

    certificate: Path
    key: Path
    authority: Path

    @property
    def files(self) -> tuple[str, str]:
        """The certificate and its key, as the libraries take them."""
        return str(self.certificate), str(self.key)


def find_hub_identity(url: str, paths: Paths) -> HubIdentity | None:
    """Return what a request to a URL of the hub's own port needs; None for plain HTTP.

    Raises nothing: without a readable configuration there is no hub.
    """
    if not url.startswith(HUB_ORIGIN):
        return None
    try:
        traits = json.loads(paths.applied.hub_file.read_bytes())
        has_tls = bool(traits["JupyterHub"]["internal_ssl"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not has_tls:
        return None
    store = paths.internal_ssl
    return HubIdentity(
        store / "hub-internal" / "hub-internal.crt",
        store / "hub-internal" / "hub-internal.key",
        store / "hub-ca" / "hub-ca.crt",
    )
