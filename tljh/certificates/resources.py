"""Resources of certificates: the files of the local CA, and the units that renew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.certificates.facts import CertificateFacts
from tljh.certificates.units import build_renewal_units, watch_addresses, watch_units
from tljh.engine.facts import Facts
from tljh.engine.file_resources import Directory, File
from tljh.engine.resource import Resource
from tljh.plugins.manager import Contributions

if TYPE_CHECKING:
    from tljh.settings.root import Config


def resources(config: Config, facts: Facts, paths: Paths, plugins: Contributions) -> list[Resource]:
    """Return the files of the local CA, and the units that renew or take over a certificate."""
    return [
        *build_authority_resources(facts, paths),
        *build_renewal_units(paths),
        *watch_units(config.https, paths),
        *watch_addresses(config.https, paths),
    ]


def build_authority_resources(facts: Facts, paths: Paths) -> list[Resource]:
    """Return the files of this machine's CA; they stay when another mode is chosen."""
    authority = facts.of(CertificateFacts).authority
    if authority is None:
        return []
    contents = authority.contents(paths.local_ca)
    return [
        Directory(paths.local_ca.directory, 0o700),
        *(File(path, data, mode=0o600, secret=True) for path, data in contents.items()),
    ]
