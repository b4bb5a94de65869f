"""Facts about the proxy: the pair that it serves, its secrets, and admins' drop-ins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tljh.base.clock import get_utc_time
from tljh.base.paths import Paths
from tljh.certificates.acme import choose_acme_source
from tljh.certificates.x509 import TlsPair
from tljh.engine.facts import AdminsDirectory
from tljh.host.interface import HostReader
from tljh.host.secret_files import read_or_make_secret
from tljh.proxy.served_certificate import read_configured_pair

if TYPE_CHECKING:
    from tljh.settings.root import Config

ENDINGS = (".toml", ".yaml", ".yml")
STATIC_DROP_INS = AdminsDirectory("traefik_config.d", lambda paths: paths.traefik_drop_ins, ENDINGS)
RULES = AdminsDirectory("rules", lambda paths: paths.rules_dir, ENDINGS)
ADMINS_DIRECTORIES = (STATIC_DROP_INS, RULES)


@dataclass(frozen=True)
class ProxyFacts:
    """Secrets (new ones in memory until a plan writes them), and files in Traefik's directory.

    `served` is the pair that tls.yaml names, `acme_pair` the one that ACME gave;
    `instance` is the mark by which the hub's own answers are recognised.
    """

    api_secret: str
    instance: str
    dynamic_files: tuple[str, ...] = ()
    certificate_copies: tuple[str, ...] = ()
    served: TlsPair | None = None
    acme_pair: TlsPair | None = None


def read(host: HostReader, config: Config, paths: Paths) -> ProxyFacts:
    """Read Traefik's directory and the secrets that it shares with the hub."""
    served = read_configured_pair(host, paths)
    acme_pair = None
    if config.https.effective_mode == "letsencrypt":
        source = choose_acme_source(config, paths, paths.hub)
        acme_pair = source.available(host, get_utc_time(), served.chain if served else None)
    return ProxyFacts(
        api_secret=read_or_make_secret(host, paths.api_secret),
        instance=read_or_make_secret(host, paths.instance, size_bytes=8),
        dynamic_files=tuple(host.listdir(paths.traefik_dynamic)),
        certificate_copies=tuple(host.listdir(paths.traefik_certs)),
        served=served,
        acme_pair=acme_pair,
    )
