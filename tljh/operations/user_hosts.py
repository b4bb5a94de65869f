"""Whether each user could have a host name, and has none.

Browsers keep the pages of users apart only where their host names differ. That needs a certificate
for all names below the hub's.
"""

from __future__ import annotations

import shlex

from tljh.base.errors import Finding
from tljh.base.paths import Paths
from tljh.host.interface import HostReader
from tljh.hub.facts import DROP_INS
from tljh.operations.certificate_renewal import read_applied, read_certificate_state

TRAIT = "subdomain_host"


def find_wildcard(host: HostReader, paths: Paths) -> str | None:
    """Return a name such as `*.hub.example.org` of the settings or of the certificate."""
    https = read_applied(host, paths).config.https
    about = read_certificate_state(host, paths).about
    names = [*https.letsencrypt.domains, *https.names, *(about.names if about else ())]
    return next((name for name in names if https.enabled and name.startswith("*.")), None)


def has_user_hosts(host: HostReader, paths: Paths) -> bool:
    """Return whether a setting or a drop-in gives each user a host name."""
    applied = read_applied(host, paths)
    drop_ins = applied.facts.files_in(DROP_INS).values()
    return bool(applied.config.traitlets.get("JupyterHub", {}).get(TRAIT)) or any(
        TRAIT.encode() in text for text in drop_ins
    )


def find_unused_wildcard(host: HostReader, paths: Paths) -> Finding | None:
    """Return the recommendation for a machine that could give each user a host name."""
    wildcard = find_wildcard(host, paths)
    if wildcard is None or has_user_hosts(host, paths):
        return None
    address = f"https://{wildcard.removeprefix('*.')}"
    return Finding(
        f"{wildcard} could give each user a host name, and it does not",
        why="browsers keep the pages of users apart only where their host names differ",
        fix=f"sudo tljh-config set JupyterHub.{TRAIT} {shlex.quote(address)}; "
        "sudo tljh-config reload",
    )
