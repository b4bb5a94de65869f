"""Try a change of the proxy before anything on the machine changes; check what it serves after."""

from __future__ import annotations

import json
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from tljh.base.errors import Finding, Place, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.well_known import PROXY_UNIT, TRAEFIK_GROUP
from tljh.certificates.facts import CertificateFacts
from tljh.engine.facts import Facts
from tljh.engine.file_resources import File
from tljh.engine.resource import Guard, Resource
from tljh.host.interface import Host, HostReader
from tljh.proxy.candidate_check import explain_refusal
from tljh.proxy.facts import RULES, STATIC_DROP_INS
from tljh.proxy.port_trial import find_unavailable_addresses
from tljh.proxy.served_certificate import (
    get_https_endpoint,
    read_configured_chain,
    wait_until_served,
)
from tljh.proxy.traefik_drop_ins import select_admins_files
from tljh.proxy.traefik_dynamic import ProxyFile
from tljh.proxy.traefik_static import Tree

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class ProxyConfiguration:
    """All that Traefik reads: the static tree, and the dynamic files in the order to write."""

    static: Tree
    files: tuple[ProxyFile, ...]


@dataclass(frozen=True)
class ProxyGuard(Guard):
    """Try new addresses and admins' files first; check the served certificate afterwards.

    `files` are the resources whose change Traefik reads, `entry_points` the one with addresses.
    """

    config: Config
    facts: Facts
    paths: Paths
    entry_points: File
    files: tuple[Resource, ...]
    candidate: ProxyConfiguration = field(repr=False)

    kind: ClassVar[str] = "proxy-guard"

    @property
    def name(self) -> str:
        return PROXY_UNIT

    def rehearse(self, host: Host, changed: Set[str], progress: Progress) -> Sequence[Finding]:
        if self.entry_points.key in changed:
            taken_addresses = self._taken_addresses(host)
            if taken_addresses:
                raise TljhError(taken_addresses)
        # What we render from the schema is tested with Traefik. What admins wrote may be wrong, and
        # a mistake would make Traefik drop all file configuration: have it tried first.
        has_foreign = any(
            (
                select_admins_files(self.facts.files_in(RULES)),
                self.facts.files_in(STATIC_DROP_INS),
                self.facts.of(CertificateFacts).files,
            )
        )
        if has_foreign and any(resource.key in changed for resource in self.files):
            with progress.step("try the new configuration of Traefik"):
                try_traefik(host, self.facts, self.paths, self.candidate)
        return ()

    def _taken_addresses(self, host: HostReader) -> list[Finding]:
        """Return a finding for each new address on which the proxy could not listen."""
        listening = host.read(self.entry_points.path)
        if listening is None or not host.unit(PROXY_UNIT).is_active:
            return []

        def place_of(section: str, key: str) -> Place:
            from tljh.settings.load import examine

            examined = examine(self.facts.config_bytes, path=str(self.paths.config_file))
            return examined.place((section, key))

        return find_unavailable_addresses(
            host,
            self.facts.hub_environment,
            TRAEFIK_GROUP,
            json.loads(listening),
            json.loads(self.entry_points.data),
            place_of,
        )

    def healthy(self, host: HostReader, deadline_s: float) -> None:
        chain = read_configured_chain(host, self.paths) if self.config.https.enabled else None
        if chain is not None:
            wait_until_served(host, get_https_endpoint(self.config), chain)


def try_traefik(
    host: HostReader, facts: Facts, paths: Paths, candidate: ProxyConfiguration
) -> None:
    """Start Traefik with a candidate configuration, apart from the one that serves.

    Raises TljhError with Traefik's own errors, at their places in the admins' files.
    """
    drop_ins, rules = facts.files_in(STATIC_DROP_INS), facts.files_in(RULES)
    sources = {
        **{paths.traefik_drop_ins / name: data for name, data in drop_ins.items()},
        **{paths.rules_dir / name: data for name, data in rules.items()},
    }
    findings = explain_refusal(
        host, facts.hub_environment, paths.traefik_dir, candidate.static, candidate.files, sources
    )
    if findings:
        raise TljhError(findings)
