"""Resources of the proxy: Traefik's files, its account and its unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.well_known import AUTHORITY_PAGE, PAGES_UNIT, PROXY_UNIT, TRAEFIK_GROUP
from tljh.certificates.acme import choose_acme_source
from tljh.certificates.facts import CertificateFacts
from tljh.certificates.own_files import choose_own_certificate
from tljh.certificates.x509 import TlsPair
from tljh.engine.account_resources import SystemUser
from tljh.engine.facts import Facts
from tljh.engine.file_resources import Absent, Directory, File
from tljh.engine.resource import Resource
from tljh.plugins.manager import Contributions
from tljh.proxy.certificate_resources import ObtainedCertificate, ServedCertificate
from tljh.proxy.facts import RULES, STATIC_DROP_INS, ProxyFacts
from tljh.proxy.guard import ProxyConfiguration, ProxyGuard
from tljh.proxy.pages import format_page_settings, list_page_paths
from tljh.proxy.traefik_drop_ins import check_rules, parse_static_drop_ins, select_admins_files
from tljh.proxy.traefik_dynamic import (
    DynamicInputs,
    build_dynamic_files,
    find_stale_files,
    hash_api_password,
)
from tljh.proxy.traefik_static import (
    StaticInputs,
    build_static_configuration,
    format_entry_points,
    format_static_file,
    merge_all,
)
from tljh.settings.derived import get_hsts_s, uses_internal_ssl
from tljh.settings.header_logins import needs_alias_headers
from tljh.systemd.templates import render_unit
from tljh.systemd.unit_resource import Unit

if TYPE_CHECKING:
    from tljh.settings.root import Config

NOTICE = "users notice nothing: connections are handed over"


def build_proxy_configuration(
    config: Config, facts: Facts, paths: Paths, plugin_rules: Mapping[str, bytes] | None = None
) -> ProxyConfiguration:
    """Return Traefik's static and dynamic files, from config.yaml, drop-ins and plugins.

    Raises TljhError with every mistake that can be found without starting Traefik.
    """
    hub_drop_ins = facts.admins_files.get(paths.hub_drop_ins.name, {}).values()
    static = merge_all(
        build_static_configuration(collect_static_inputs(config, paths, hub_drop_ins)),
        parse_static_drop_ins(facts.files_in(STATIC_DROP_INS), paths.traefik_drop_ins),
    )
    sources = facts.files_in(RULES)
    findings = check_rules(sources, paths.rules_dir)
    if findings:
        raise TljhError(findings)
    rules = {name: sources[name] for name in select_admins_files(sources)}
    rules |= plugin_rules or {}
    files = build_dynamic_files(collect_dynamic_inputs(config, facts, paths), rules)
    return ProxyConfiguration(static, tuple(files))


def resources(config: Config, facts: Facts, paths: Paths, plugins: Contributions) -> list[Resource]:
    """Return the files in Traefik's directory, except the hub's routes of users, and its unit."""
    planned = build_proxy_configuration(config, facts, paths, plugins.traefik_rules)
    entry_points = _make_file(
        paths, paths.traefik_entry_points, format_entry_points(planned.static).encode()
    )
    static = _make_file(
        paths, paths.traefik_static, format_static_file(planned.static, paths.config_dir).encode()
    )
    unit_file = File(
        paths.units_dir / PROXY_UNIT,
        render_unit(PROXY_UNIT, hub=paths.hub, traefik_dir=paths.traefik_dir),
    )
    unit = Unit(
        PROXY_UNIT,
        restart_on=(unit_file,),
        reload_on=(static, entry_points, facts.hub_link(paths)),
        notice=NOTICE,
    )
    files = _build_dynamic_resources(config, facts, paths, planned)
    return [
        SystemUser(TRAEFIK_GROUP, paths.traefik_dir),
        Directory(paths.traefik_drop_ins, 0o700),
        Directory(paths.rules_dir, 0o700),
        make_api_secret_file(facts, paths),
        make_secret_file(paths.instance, facts.of(ProxyFacts).instance),
        _make_directory(paths.traefik_dir),
        # setgid: files that the hub writes here belong to Traefik's group.
        _make_directory(paths.traefik_dynamic, 0o2750),
        _make_directory(paths.traefik_certs),
        # The same: the hub writes here.
        _make_directory(paths.traefik_internal, 0o2750),
        *_build_page_server(config, facts, paths),
        *files,
        entry_points,
        static,
        unit_file,
        ProxyGuard(
            config,
            facts,
            paths,
            entry_points=entry_points,
            files=(*files, entry_points, static),
            candidate=planned,
        ),
        unit,
    ]


def _build_page_server(config: Config, facts: Facts, paths: Paths) -> list[Resource]:
    """Return the server of pages and folders; nothing of it stays where none is needed."""
    unit_path = paths.units_dir / PAGES_UNIT
    if not list_page_paths(config):
        return [
            Unit(PAGES_UNIT, is_wanted=False),
            Absent(unit_path),
            Absent(paths.page_settings),
        ]
    settings = File(paths.page_settings, format_page_settings(config), mode=0o644)
    unit_file = File(
        unit_path, render_unit(PAGES_UNIT, hub=paths.hub, settings=paths.page_settings)
    )
    return [
        settings,
        unit_file,
        Unit(PAGES_UNIT, restart_on=(settings, unit_file, facts.hub_link(paths))),
    ]


def make_secret_file(path: Path, value: str) -> File:
    """Return the resource of a file with a secret, which only root can read."""
    return File(path, value.encode() + b"\n", mode=0o600, secret=True)


def make_api_secret_file(facts: Facts, paths: Paths) -> File:
    """Return the file with the password of Traefik's API.

    The hub reads it too, so the hub restarts when it changes.
    """
    return make_secret_file(paths.api_secret, facts.of(ProxyFacts).api_secret)


def _build_dynamic_resources(
    config: Config, facts: Facts, paths: Paths, planned: ProxyConfiguration
) -> list[Resource]:
    proxy = facts.of(ProxyFacts)
    stale = find_stale_files(proxy.dynamic_files, planned.files)
    if awaits_certificate(config, facts):
        stale = [name for name in stale if name != paths.traefik_tls_file.name]
    # Without HTTPS Traefik needs no copy of a private key, so none stays readable to it.
    copies = proxy.certificate_copies if config.https.effective_mode is None else ()
    return [
        *(_make_file(paths, file.path, file.content) for file in planned.files),
        *build_obtained_certificate(config, facts, paths),
        *(Absent(paths.traefik_dynamic / name) for name in stale),
        *(Absent(paths.traefik_certs / name) for name in copies),
    ]


def build_obtained_certificate(config: Config, facts: Facts, paths: Paths) -> list[Resource]:
    """Return the steps that obtain a certificate and serve it, where none is available."""
    if not awaits_certificate(config, facts):
        return []
    source = choose_acme_source(config, paths, facts.hub_environment)
    return [
        ObtainedCertificate(source),
        ServedCertificate(source, collect_dynamic_inputs(config, facts, paths)),
    ]


def _make_directory(path: Path, mode: int = 0o750) -> Directory:
    return Directory(path, mode, group=TRAEFIK_GROUP)


def _make_file(paths: Paths, path: Path, content: bytes) -> File:
    # The dynamic file has a hash of the API's password.
    is_secret = path.parent == paths.traefik_certs or path == paths.traefik_own_file
    return File(path, content, mode=0o640, group=TRAEFIK_GROUP, secret=is_secret)


def collect_static_inputs(
    config: Config, paths: Paths, hub_drop_ins: Iterable[bytes] = ()
) -> StaticInputs:
    return StaticInputs(
        http_port=config.http.port,
        http_address=config.http.address,
        https_port=config.https.port if config.https.enabled else None,
        https_address=config.https.address,
        api_port=config.traefik_api.port,
        api_address=config.traefik_api.ip,
        trusted_proxies=tuple(config.trusted_proxies),
        keeps_alias_headers=needs_alias_headers(config, hub_drop_ins),
        drain_s=config.proxy.drain_timeout_s,
        access_log=config.proxy.access_log,
        log_level=config.proxy.log_level,
        paths=paths,
    )


def collect_dynamic_inputs(config: Config, facts: Facts, paths: Paths) -> DynamicInputs:
    authority = facts.of(CertificateFacts).authority
    return DynamicInputs(
        api_username=config.traefik_api.username,
        api_password_hash=hash_api_password(
            config.traefik_api.password or facts.of(ProxyFacts).api_secret
        ),
        certificates=choose_certificates(config, facts),
        has_https=config.https.enabled,
        https_port=config.https.port,
        awaits_certificate=awaits_certificate(config, facts),
        hsts_s=get_hsts_s(config.https),
        authority_path=f"{config.base_url}hub/{AUTHORITY_PAGE}" if authority else None,
        has_internal_ssl=uses_internal_ssl(config),
        instance=facts.of(ProxyFacts).instance,
        requests_per_address=config.proxy.connections_per_address,
        trusted_proxies=tuple(config.trusted_proxies),
        page_paths=list_page_paths(config),
        paths=paths,
    )


def awaits_certificate(config: Config, facts: Facts) -> bool:
    """Return whether HTTPS has no certificate yet, so that one must be obtained first."""
    return config.https.effective_mode == "letsencrypt" and facts.of(ProxyFacts).acme_pair is None


def choose_certificates(config: Config, facts: Facts) -> Sequence[TlsPair]:
    """Return the certificates that Traefik serves; none while one is yet to be obtained.

    They come from the facts. Raises TljhError for one that must not be served.
    """
    proxy, certificates = facts.of(ProxyFacts), facts.of(CertificateFacts)
    mode, authority = config.https.effective_mode, certificates.authority
    if mode == "tls":
        return (choose_own_certificate(config.https, certificates.files, proxy.served),)
    if mode == "internal" and authority:
        return (TlsPair(authority.hub, authority.hub_key),)
    if mode == "letsencrypt" and proxy.acme_pair:
        return (proxy.acme_pair,)
    return ()
