"""Traefik's files as resources: static, entry points, dynamic, certificates, admins' rules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tljh.base.errors import Finding, Place, TljhError
from tljh.base.paths import Paths
from tljh.base.well_known import AUTHORITY_PAGE, PROXY_UNIT, TRAEFIK_GROUP
from tljh.certificates.acme import acme_source
from tljh.certificates.local_authority import DIRECTORY
from tljh.certificates.own_files import own_certificate
from tljh.certificates.x509 import TlsPair
from tljh.engine.file_resources import Absent, Directory, File
from tljh.engine.plan import Plan
from tljh.engine.resource import Resource
from tljh.host.interface import HostReader
from tljh.proxy.candidate_check import traefik_findings
from tljh.proxy.certificate_resources import ObtainedCertificate, ServedCertificate
from tljh.proxy.port_trial import unavailable_addresses
from tljh.proxy.supervisor.interface import ENTRY_POINTS_FILE, STATIC_FILE
from tljh.proxy.traefik_drop_ins import admins_files, parse_static_drop_ins, rules_findings
from tljh.proxy.traefik_dynamic import (
    TLS_FILE,
    DynamicInputs,
    ProxyFile,
    api_password_hash,
    dynamic_files,
    stale_files,
)
from tljh.proxy.traefik_static import (
    StaticInputs,
    Tree,
    entry_points_file,
    merge_all,
    static_configuration,
    static_file,
)
from tljh.settings.derived import hsts_s

if TYPE_CHECKING:
    from tljh.operations.facts import Facts
    from tljh.settings.root import Config


@dataclass(frozen=True)
class ProxyConfiguration:
    """All that Traefik reads: the static tree, and the dynamic files in the order to write them."""

    static: Tree
    files: tuple[ProxyFile, ...]


def proxy_configuration(config: Config, facts: Facts, paths: Paths) -> ProxyConfiguration:
    """What follows from the configuration and admins' files.

    Raises TljhError with all that can be said of them without running Traefik.
    """
    static = merge_all(
        static_configuration(static_inputs(config, paths)),
        parse_static_drop_ins(facts.traefik_drop_ins, paths.traefik_drop_ins),
    )
    wrong = rules_findings(facts.rules, paths.rules_dir)
    if wrong:
        raise TljhError(wrong)
    rules = {name: facts.rules[name] for name in admins_files(facts.rules)}
    files = dynamic_files(dynamic_inputs(config, facts, paths), rules)
    return ProxyConfiguration(static, tuple(files))


def traefik_resources(config: Config, facts: Facts, paths: Paths) -> list[Resource]:
    """Everything below Traefik's directory but users' routes, which are the hub's."""
    directory = paths.traefik_dir
    wanted = proxy_configuration(config, facts, paths)
    static = wanted.static
    stale = stale_files(facts.dynamic_files, wanted.files)
    if awaits_certificate(config, facts):
        stale = [name for name in stale if name != TLS_FILE]
    return [
        *authority_resources(facts, paths),
        _directory(paths, ""),
        _directory(paths, "dynamic"),
        _directory(paths, "certs"),
        *(
            _file(paths, file.path.relative_to(directory).as_posix(), file.content)
            for file in wanted.files
        ),
        *certificate_to_come(config, facts, paths),
        *(Absent(directory / "dynamic" / name) for name in stale),
        # Copies of a key have no business where nothing is served with it.
        *(
            Absent(directory / "certs" / name)
            for name in facts.certificate_copies
            if config.https.effective_mode is None
        ),
        _file(paths, ENTRY_POINTS_FILE, entry_points_file(static).encode()),
        _file(paths, STATIC_FILE, static_file(static, paths.config_dir).encode()),
    ]


def certificate_to_come(config: Config, facts: Facts, paths: Paths) -> list[Resource]:
    """Asking for the certificate, and serving it, where none is at hand."""
    if not awaits_certificate(config, facts):
        return []
    source = acme_source(config, paths, facts.hub_environment)
    return [
        ObtainedCertificate(source),
        ServedCertificate(source, dynamic_inputs(config, facts, paths)),
    ]


def try_traefik(host: HostReader, config: Config, facts: Facts, paths: Paths) -> None:
    """Have the real Traefik read what is about to be applied; raises TljhError with its words."""
    wanted = proxy_configuration(config, facts, paths)
    sources = {
        **{paths.traefik_drop_ins / name: data for name, data in facts.traefik_drop_ins.items()},
        **{paths.rules_dir / name: data for name, data in facts.rules.items()},
    }
    findings = traefik_findings(
        host, facts.hub_environment, paths.traefik_dir, wanted.static, wanted.files, sources
    )
    if findings:
        raise TljhError(findings)


def address_findings(
    host: HostReader, plan: Plan, config_bytes: bytes, facts: Facts, paths: Paths
) -> list[Finding]:
    """New addresses in the plan that a running proxy could not listen on."""
    place = paths.traefik_dir / ENTRY_POINTS_FILE
    files = (step.resource for step in plan.steps if isinstance(step.resource, File))
    planned = next((file.data for file in files if file.path == place), None)
    listening = host.read(place)
    if planned is None or listening is None or not host.unit(PROXY_UNIT).is_active:
        return []

    def place_of(section: str, key: str) -> Place:
        from tljh.settings.load import examine

        return examine(config_bytes, path=str(paths.config_file)).place((section, key))

    return unavailable_addresses(
        host,
        facts.hub_environment,
        TRAEFIK_GROUP,
        json.loads(listening),
        json.loads(planned),
        place_of,
    )


def _directory(paths: Paths, name: str) -> Directory:
    # setgid: what the hub writes there belongs to Traefik's group.
    mode = 0o2750 if name == "dynamic" else 0o750
    return Directory(paths.traefik_dir / name, mode, group=TRAEFIK_GROUP)


def _file(paths: Paths, name: str, content: bytes) -> File:
    is_secret = name.startswith("certs/") or name == "dynamic/tljh.yaml"
    return File(
        paths.traefik_dir / name, content, mode=0o640, group=TRAEFIK_GROUP, secret=is_secret
    )


def static_inputs(config: Config, paths: Paths) -> StaticInputs:
    return StaticInputs(
        http_port=config.http.port,
        http_address=config.http.address,
        https_port=config.https.port if config.https.enabled else None,
        https_address=config.https.address,
        api_port=config.traefik_api.port,
        api_address=config.traefik_api.ip,
        trusted_proxies=tuple(config.trusted_proxies),
        drain_s=config.proxy.drain_timeout_s,
        access_log=config.proxy.access_log,
        log_level=config.proxy.log_level,
        directory=paths.traefik_dir,
        config_directory=paths.config_dir,
    )


def dynamic_inputs(config: Config, facts: Facts, paths: Paths) -> DynamicInputs:
    return DynamicInputs(
        api_username=config.traefik_api.username,
        api_password_hash=api_password_hash(config.traefik_api.password or facts.api_secret),
        certificates=certificates_to_serve(config, facts),
        has_https=config.https.enabled,
        https_port=config.https.port,
        awaits_certificate=awaits_certificate(config, facts),
        hsts_s=hsts_s(config.https),
        authority_path=f"{config.base_url}hub/{AUTHORITY_PAGE}" if facts.authority else None,
        instance=facts.instance,
        directory=paths.traefik_dir,
    )


def awaits_certificate(config: Config, facts: Facts) -> bool:
    """Whether the certificate has to be asked for first."""
    return config.https.effective_mode == "letsencrypt" and facts.acme_certificate is None


def certificates_to_serve(config: Config, facts: Facts) -> Sequence[TlsPair]:
    """The certificate to serve, from what was read; none where it has to be asked for first.

    Raises TljhError for one that must not be served.
    """
    mode = config.https.effective_mode
    if mode is None:
        return ()
    if mode == "tls":
        return (own_certificate(config.https, facts.certificate_files, facts.served),)
    if mode == "internal" and facts.authority:
        return (TlsPair(facts.authority.hub, facts.authority.hub_key),)
    return (facts.acme_certificate,) if facts.acme_certificate else ()


def authority_resources(facts: Facts, paths: Paths) -> list[Resource]:
    """The authority of this machine's own; it stays when another mode is chosen."""
    if facts.authority is None:
        return []
    files = facts.authority.files(paths.state_dir)
    return [
        Directory(paths.state_dir / DIRECTORY, 0o700),
        *(File(path, data, mode=0o600, secret=True) for path, data in files.items()),
    ]
