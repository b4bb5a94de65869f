"""Every path that tljh uses on the machine, derived from one prefix."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PREFIX = Path("/opt/tljh")


@dataclass(frozen=True)
class Paths:
    """The paths of one installation."""

    prefix: Path = DEFAULT_PREFIX
    traefik_dir: Path = Path("/var/lib/tljh-traefik")
    units_dir: Path = Path("/etc/systemd/system")
    commands_dir: Path = Path("/usr/bin")

    @property
    def hub(self) -> Path:
        """The link to the current hub environment."""
        return self.prefix / "hub"

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
        return self.config_dir / "traefik_config.d"

    @property
    def state_dir(self) -> Path:
        return self.prefix / "state"

    @property
    def applied_dir(self) -> Path:
        """The applied configuration, as the last apply saved it."""
        return self.state_dir / "applied"

    @property
    def rules_dir(self) -> Path:
        """Admins' dynamic drop-ins for Traefik."""
        return self.state_dir / "rules"

    @property
    def claims_dir(self) -> Path:
        return self.state_dir / "claims"

    @property
    def passwords(self) -> Path:
        """Passwords of the first-use authenticator: bcrypt hashes in a dbm file."""
        return self.state_dir / PASSWORDS

    @property
    def hub_database(self) -> Path:
        return self.state_dir / "jupyterhub.sqlite"

    @property
    def api_secret(self) -> Path:
        """Password of Traefik's API, which the hub and Traefik share."""
        return self.state_dir / "traefik-api.secret"

    @property
    def cookie_secret(self) -> Path:
        return self.state_dir / "jupyterhub_cookie_secret"

    @property
    def instance(self) -> Path:
        """The mark by which the hub's own answers are recognised."""
        return self.state_dir / "instance"

    @property
    def hub_token(self) -> Path:
        """Token of the commands for the hub's API."""
        return self.state_dir / "hub-api.secret"

    @property
    def ledger(self) -> Path:
        """Who was allowed by the lists that were applied last."""
        return self.state_dir / "people.json"

    @property
    def hub_lists(self) -> Path:
        """The lists of users that the running hub loaded; the hub writes it when it starts."""
        return self.state_dir / "hub-lists.json"

    @property
    def applied_hub_file(self) -> Path:
        return self.applied_dir / HUB_FILE

    @property
    def applied_limits(self) -> Path:
        return self.applied_dir / "limits.json"

    @property
    def applied_drop_ins(self) -> Path:
        return self.applied_dir / DROP_INS

    @property
    def kept_environment(self) -> Path:
        """Variables by which the installation reached package indexes."""
        return self.state_dir / "environment.json"

    @property
    def post_install(self) -> Path:
        """The set of plugins whose `tljh_post_install` has run."""
        return self.state_dir / "post-install"

    @property
    def launcher(self) -> Path:
        """The program that starts a user's server without the configuration of the home."""
        return self.prefix / "singleuser.py"

    @property
    def kernel_deaths(self) -> Path:
        """The module by which a user's server reports a kernel that was killed."""
        return self.prefix / "kernel_deaths.py"

    @property
    def traefik_dynamic(self) -> Path:
        return self.traefik_dir / "dynamic"

    @property
    def traefik_certs(self) -> Path:
        return self.traefik_dir / "certs"

    @property
    def journal_dir(self) -> Path:
        return self.state_dir / "journal"

    @property
    def lock(self) -> Path:
        """The lock of an apply. It is outside the prefix: the first install needs it, too."""
        return Path("/run/tljh-apply.lock")

    @property
    def log(self) -> Path:
        return self.prefix / "installer.log"

    @property
    def traits(self) -> Path:
        """The catalogue of classes and traits in the current hub environment."""
        return self.hub / "share" / "tljh" / "traits.json"


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


# Names in `Paths.state_dir`, and of the copies in `Paths.applied_dir`.
API_SECRET = "traefik-api.secret"
COOKIE_SECRET = "jupyterhub_cookie_secret"
INSTANCE = "instance"

# The token with which tljh calls the hub's API.
TOKEN_FILE = "hub-api.secret"

PASSWORDS = "passwords.dbm"
HUB_FILE = "hub.json"
DROP_INS = "jupyterhub_config.d"
