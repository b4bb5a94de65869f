"""What a plan needs to know of the machine besides the configuration; read, never written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.clock import utc_now
from tljh.base.paths import API_SECRET, COOKIE_SECRET, INSTANCE, TOKEN_FILE, Paths
from tljh.certificates.acme import acme_source
from tljh.certificates.local_authority import Authority, read_authority
from tljh.certificates.own_files import read_files
from tljh.certificates.x509 import TlsPair
from tljh.host.interface import HostReader
from tljh.host.secret_files import _secret
from tljh.operations.installed_config import config_place
from tljh.proxy.served_certificate import named_pair
from tljh.singleuser.limits import MachineSize, machine_size
from tljh.users.claims import Claim, claim_file, read_claim
from tljh.users.facts import logins_with_password

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class Facts:
    """Everything read. Secrets that the machine does not have yet are made up here, in memory."""

    hub_environment: Path
    config_file: Path
    api_secret: str
    cookie_secret: str
    instance: str
    hub_token: str
    size: MachineSize
    hub_drop_ins: Mapping[str, bytes]
    traefik_drop_ins: Mapping[str, bytes]
    rules: Mapping[str, bytes]
    claims: Mapping[str, Claim]
    logins_with_password: frozenset[str]
    dynamic_files: tuple[str, ...] = ()
    applied_drop_ins: tuple[str, ...] = ()
    certificate_files: Mapping[str, bytes | None] = field(default_factory=dict)
    authority: Authority | None = None
    acme_certificate: TlsPair | None = None
    # The pair that Traefik is told to serve.
    served: TlsPair | None = None
    certificate_copies: tuple[str, ...] = ()


def read_facts(
    host: HostReader, config: Config, paths: Paths, hub_environment: Path | None = None
) -> Facts:
    """Look at the machine, as far as this configuration makes it necessary.

    Without `hub_environment` it is the one that the hub's link points at.
    """
    link = host.readlink(paths.hub)
    environment = hub_environment or (paths.prefix / link if link else paths.hub)
    claims = {}
    for name in host.listdir(paths.state_dir / "claims"):
        claim = read_claim(host.read(paths.state_dir / "claims" / name) or b"")
        if claim and claim_file(paths.state_dir, claim.login).name == name:
            claims[claim.login] = claim
    return Facts(
        hub_environment=environment,
        config_file=config_place(host, paths),
        api_secret=_secret(host, paths.state_dir / API_SECRET),
        cookie_secret=_secret(host, paths.state_dir / COOKIE_SECRET),
        instance=_secret(host, paths.state_dir / INSTANCE, size_bytes=8),
        hub_token=_secret(host, paths.state_dir / TOKEN_FILE),
        size=machine_size(host),
        hub_drop_ins=_files(host, paths.hub_drop_ins, (".py",)),
        traefik_drop_ins=_files(host, paths.traefik_drop_ins, (".toml", ".yaml", ".yml")),
        rules=_files(host, paths.rules_dir, (".toml", ".yaml", ".yml")),
        claims=claims,
        logins_with_password=logins_with_password(config, paths),
        dynamic_files=tuple(host.listdir(paths.traefik_dir / "dynamic")),
        applied_drop_ins=tuple(host.listdir(paths.applied_dir / "jupyterhub_config.d")),
        certificate_files=(
            read_files(host, config.https) if config.https.effective_mode == "tls" else {}
        ),
        authority=read_authority(host, paths.state_dir, config.https),
        acme_certificate=_acme_certificate(host, config, paths, environment),
        served=named_pair(host, paths),
        certificate_copies=tuple(host.listdir(paths.traefik_dir / "certs")),
    )


def _acme_certificate(
    host: HostReader, config: Config, paths: Paths, environment: Path
) -> TlsPair | None:
    if config.https.effective_mode != "letsencrypt":
        return None
    return acme_source(config, paths, environment).at_hand(host, utc_now())


def _files(host: HostReader, directory: Path, endings: tuple[str, ...]) -> dict[str, bytes]:
    found = {}
    for name in host.listdir(directory):
        data = host.read(directory / name)
        if name.endswith(endings) and not name.startswith(".") and data is not None:
            found[name] = data
    return found
