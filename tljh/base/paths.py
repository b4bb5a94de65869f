"""Every path that tljh uses on the machine, derived from one prefix."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

DEFAULT_PREFIX = Path("/opt/tljh")


@dataclass(frozen=True)
class HubEnvironmentFiles:
    """The files of a hub environment that tljh itself uses."""

    directory: Path

    @property
    def bin_dir(self) -> Path:
        return self.directory / "bin"

    @property
    def python(self) -> Path:
        return self.bin_dir / "python"

    @property
    def stamp(self) -> Path:
        """What the environment was built with; its builder writes this file last."""
        return self.directory / "share" / "tljh" / "environment.json"

    @property
    def bootstrap(self) -> Path:
        """The bootstrap that built the environment, and builds the next one."""
        return self.directory / "share" / "tljh" / "bootstrap.py"

    @property
    def traits(self) -> Path:
        """The catalogue of the environment's classes and traits."""
        return self.directory / "share" / "tljh" / "traits.json"


@dataclass(frozen=True)
class AppliedFiles:
    """The files that the hub loads: the applied configuration, or a candidate for it."""

    directory: Path

    @property
    def hub_file(self) -> Path:
        """Traits for JupyterHub."""
        return self.directory / "hub.json"

    @property
    def limits(self) -> Path:
        """Limits of servers, which the hub reads at each start of one."""
        return self.directory / "limits.json"

    @property
    def drop_ins(self) -> Path:
        """Copies of `Paths.hub_drop_ins`."""
        return self.directory / "jupyterhub_config.d"


@dataclass(frozen=True)
class LocalCaFiles:
    """The files of the machine's own CA, and of the hub's certificate, which it issued."""

    directory: Path

    @property
    def certificate(self) -> Path:
        return self.directory / "ca.crt"

    @property
    def key(self) -> Path:
        return self.directory / "ca.key"

    @property
    def hub_certificate(self) -> Path:
        return self.directory / "hub.crt"

    @property
    def hub_key(self) -> Path:
        return self.directory / "hub.key"


@dataclass(frozen=True)
class Paths:
    """The paths of one installation.

    What is outside the prefix is the same for every installation; those paths are attributes of
    the class, too.
    """

    prefix: Path = DEFAULT_PREFIX
    traefik_dir: Path = Path("/var/lib/tljh-traefik")
    units_dir: Path = Path("/etc/systemd/system")
    commands_dir: Path = Path("/usr/bin")

    # Locks are in /run: a first install needs them before the prefix exists.
    lock: ClassVar[Path] = Path("/run/tljh-apply.lock")
    accounts_lock: ClassVar[Path] = Path("/run/tljh-accounts.lock")
    isolation_lock: ClassVar[Path] = Path("/run/tljh-isolation.lock")
    # Why the network rules could not be loaded.
    isolation_problem: ClassVar[Path] = Path("/run/tljh-isolation.json")
    # The RuntimeDirectory of the proxy's unit, and the supervisor's state in it.
    proxy_runtime_dir: ClassVar[Path] = Path("/run/traefik")
    proxy_state: ClassVar[Path] = proxy_runtime_dir / "state.json"
    sudoers: ClassVar[Path] = Path("/etc/sudoers.d/jupyterhub-admins")
    profile: ClassVar[Path] = Path("/etc/profile.d/tljh.sh")
    # needrestart reads it after its own settings, also when it is installed after tljh.
    needrestart: ClassVar[Path] = Path("/etc/needrestart/conf.d/tljh.conf")
    # bash-completion reads it; Debian's base packages create it even without that package.
    completions_dir: ClassVar[Path] = Path("/usr/share/bash-completion/completions")
    # The default of `users.home_root`.
    homes: ClassVar[Path] = Path("/home")
    shared_folders: ClassVar[Path] = Path("/srv/shared")
    uv_cache: ClassVar[Path] = Path("/var/cache/tljh/uv")

    @property
    def hub(self) -> Path:
        """The link to the current hub environment."""
        return self.prefix / "hub"

    @property
    def hub_files(self) -> HubEnvironmentFiles:
        """The files of the current hub environment."""
        return HubEnvironmentFiles(self.hub)

    @property
    def user(self) -> Path:
        """The user environment, a conda environment that all users share."""
        return self.prefix / "user"

    @property
    def conda(self) -> Path:
        """The environment of the conda and mamba commands themselves."""
        return self.prefix / "conda"

    @property
    def versions(self) -> Path:
        """Hub environments and snapshots of the user environment."""
        return self.prefix / "versions"

    def user_snapshot(self, number: int) -> Path:
        """Return the place of one build of the user environment: a new one, later a snapshot."""
        return self.versions / f"user-{number}"

    @property
    def conda_build(self) -> Path:
        """The place where `conda` is built, before it replaces the one in use."""
        return self.versions / "conda-1"

    @property
    def package_cache(self) -> Path:
        """Conda packages. Environments have hard links to them, so the file system is the same."""
        return self.versions / ".packages"

    @property
    def launcher(self) -> Path:
        """The program that starts a user's server without the configuration of the home."""
        return self.prefix / "singleuser.py"

    @property
    def kernel_deaths(self) -> Path:
        """The module by which a user's server reports a kernel that was killed."""
        return self.prefix / "kernel_deaths.py"

    @property
    def log(self) -> Path:
        return self.prefix / "installer.log"

    # The configuration, which admins edit.

    @property
    def config_dir(self) -> Path:
        return self.prefix / "config"

    @property
    def config_file(self) -> Path:
        return self.config_dir / "config.yaml"

    @property
    def hub_drop_ins(self) -> Path:
        return self.config_dir / "jupyterhub_config.d"

    @property
    def traefik_drop_ins(self) -> Path:
        """Drop-ins for Traefik's static configuration."""
        return self.config_dir / "traefik_config.d"

    @property
    def rules_dir(self) -> Path:
        """Drop-ins for Traefik's dynamic configuration."""
        return self.state_dir / "rules"

    # State, which only root can read.

    @property
    def state_dir(self) -> Path:
        return self.prefix / "state"

    @property
    def journal_dir(self) -> Path:
        return self.state_dir / "journal"

    @property
    def applied(self) -> AppliedFiles:
        """What the hub loads, as the last apply wrote it."""
        return AppliedFiles(self.state_dir / "applied")

    def candidate(self, process_id: int) -> AppliedFiles:
        """Return the files of a candidate that a process has tried."""
        return AppliedFiles(Path(f"/run/tljh-candidate-{process_id}"))

    @property
    def kept_environment(self) -> Path:
        """Variables by which the installation reached package indexes."""
        return self.state_dir / "environment.json"

    @property
    def post_install(self) -> Path:
        """The set of plugins whose `tljh_post_install` has run."""
        return self.state_dir / "post-install"

    @property
    def isolation_rules(self) -> Path:
        """The network rules of the last apply, which a unit loads at boot."""
        return self.state_dir / "isolation.nft"

    # Users

    @property
    def claims_dir(self) -> Path:
        return self.state_dir / "claims"

    @property
    def passwords(self) -> Path:
        """Passwords of the first-use authenticator: bcrypt hashes in a dbm file."""
        return self.state_dir / "passwords.dbm"

    @property
    def ledger(self) -> Path:
        """Users, admins and groups of the lists that were applied last."""
        return self.state_dir / "people.json"

    @property
    def hub_lists(self) -> Path:
        """The lists of users that the running hub loaded; the hub writes it when it starts."""
        return self.state_dir / "hub-lists.json"

    @property
    def archived_homes(self) -> Path:
        """Archives of home directories that were deleted."""
        return self.state_dir / "homes"

    # The hub's database and secrets

    @property
    def hub_database(self) -> Path:
        return self.state_dir / "jupyterhub.sqlite"

    @property
    def database_copies(self) -> Path:
        """Copies of the database, made before each migration."""
        return self.state_dir / "database-copies"

    @property
    def database_trial(self) -> Path:
        """A copy of the database, on which a migration is tried."""
        return self.state_dir / ".trial.sqlite"

    @property
    def migration_order(self) -> Path:
        """An order to migrate the database, which the next hub to start carries out once."""
        return self.state_dir / "migrate-database.json"

    @property
    def cookie_secret(self) -> Path:
        return self.state_dir / "jupyterhub_cookie_secret"

    @property
    def hub_token(self) -> Path:
        """Token of the commands for the hub's API."""
        return self.state_dir / "hub-api.secret"

    @property
    def api_secret(self) -> Path:
        """Password of Traefik's API, which the hub and Traefik share."""
        return self.state_dir / "traefik-api.secret"

    @property
    def instance(self) -> Path:
        """The mark by which this hub's own answers are recognized."""
        return self.state_dir / "instance"

    # Certificates

    @property
    def local_ca(self) -> LocalCaFiles:
        return LocalCaFiles(self.state_dir / "internal-ca")

    @property
    def acme_dir(self) -> Path:
        return self.state_dir / "acme"

    @property
    def acme_certificates(self) -> Path:
        return self.acme_dir / "certificates"

    @property
    def acme_attempts(self) -> Path:
        """Successful and failed requests, for the backoff."""
        return self.acme_dir / "attempts.json"

    @property
    def acme_revocation(self) -> Path:
        """A certificate whose revocation is not finished."""
        return self.acme_dir / "to-revoke.json"

    @property
    def certbot_dir(self) -> Path:
        """The account, configuration and logs of certbot."""
        return self.acme_dir / "certbot"

    @property
    def acme_scratch(self) -> Path:
        """Files of one run of certbot."""
        return self.acme_dir / "scratch"

    @property
    def traefik_acme(self) -> Path:
        """Certificates that Traefik obtained for The Littlest JupyterHub."""
        return self.state_dir / "acme.json"

    # What Traefik reads

    @property
    def traefik_static(self) -> Path:
        return self.traefik_dir / "traefik.yaml"

    @property
    def traefik_entry_points(self) -> Path:
        """Names and addresses of the entry points, which the supervisor listens on."""
        return self.traefik_dir / "entrypoints.json"

    @property
    def traefik_dynamic(self) -> Path:
        return self.traefik_dir / "dynamic"

    @property
    def traefik_own_file(self) -> Path:
        """The dynamic configuration that is rendered from config.yaml."""
        return self.traefik_dynamic / "tljh.yaml"

    @property
    def traefik_tls_file(self) -> Path:
        """The dynamic file that names the certificate to serve."""
        return self.traefik_dynamic / "tls.yaml"

    @property
    def traefik_routes_file(self) -> Path:
        """The routes to users' servers, which the hub writes."""
        return self.traefik_dynamic / "rules.toml"

    @property
    def traefik_certs(self) -> Path:
        return self.traefik_dir / "certs"


def prefix_of_environment(environment: Path) -> Path | None:
    """Return the prefix that a hub environment belongs to; None for any other environment."""
    if environment.parent.name == "versions" and environment.name.startswith("hub-"):
        return environment.parent.parent
    if environment.name == "hub" and (environment.parent / "versions").is_dir():
        return environment.parent
    return None


def paths_from_environment(
    environ: Mapping[str, str] | None = None, environment: str | None = None
) -> Paths:
    """Return the paths of the installation that this process belongs to.

    `TLJH_INSTALL_PREFIX` wins; without it, the prefix is derived from the environment that the
    command runs in (by default `sys.prefix`).
    """
    prefix = (os.environ if environ is None else environ).get("TLJH_INSTALL_PREFIX")
    if prefix:
        return Paths(Path(prefix).absolute())
    own_prefix = prefix_of_environment(Path(environment or sys.prefix))
    return Paths(own_prefix or DEFAULT_PREFIX)
