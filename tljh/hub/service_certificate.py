"""What the unit of a managed service runs first with `internal_ssl`: its own new certificate.

    python -m tljh.hub.service_certificate NAME ACCOUNT

The hub answers only programs with a certificate that one of its authorities signed.
"""

from __future__ import annotations

import grp
import pwd
import sys

from tljh.base.paths import get_paths
from tljh.certificates.internal_authorities import (
    HUB_AUTHORITY,
    LOOPBACK_NAMES,
    SERVICES_AUTHORITY,
    issue_pair,
    read_pair,
    write_pair,
)
from tljh.host.real import RealHost
from tljh.services.environment import get_certificate_directory


def main(name: str, account: str) -> None:
    """Write the key and certificate of a service, readable by its account only."""
    store = get_paths().internal_ssl
    entry = pwd.getpwnam(account)
    try:
        pair = issue_pair(read_pair(store, SERVICES_AUTHORITY), f"service {name}", LOOPBACK_NAMES)
        trusted = (store / HUB_AUTHORITY / f"{HUB_AUTHORITY}.crt").read_bytes()
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} does not exist yet: the hub makes it when it starts")
    directory = get_certificate_directory(name)
    host = RealHost()
    for each in (directory.parent, directory):
        host.mkdir(each, mode=0o755)
    owner = account, grp.getgrgid(entry.pw_gid).gr_name
    write_pair(host, directory, pair, trusted, owner)


if __name__ == "__main__":
    main(*sys.argv[1:])
