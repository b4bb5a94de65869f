"""Where everything lies on the machine; one prefix decides."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PREFIX = Path("/opt/tljh")


@dataclass(frozen=True)
class Paths:
    """All places that tljh uses, worked out from the installation's prefix."""

    prefix: Path = DEFAULT_PREFIX
    traefik_dir: Path = Path("/var/lib/tljh-traefik")
    units_dir: Path = Path("/etc/systemd/system")
    commands_dir: Path = Path("/usr/bin")

    @property
    def hub(self) -> Path:
        """Link to the hub environment in use."""
        return self.prefix / "hub"

    @property
    def user(self) -> Path:
        """The conda environment that all users share."""
        return self.prefix / "user"

    @property
    def conda(self) -> Path:
        """conda and mamba themselves."""
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
        """The configuration that runs, as the last apply left it."""
        return self.state_dir / "applied"

    @property
    def rules_dir(self) -> Path:
        """Admins' dynamic drop-ins for Traefik."""
        return self.state_dir / "rules"

    @property
    def journal_dir(self) -> Path:
        return self.state_dir / "journal"

    @property
    def lock(self) -> Path:
        """Held by whoever applies; it exists before any installation does."""
        return Path("/run/tljh-apply.lock")

    @property
    def log(self) -> Path:
        return self.prefix / "installer.log"

    @property
    def traits(self) -> Path:
        """Catalogue of classes and traits that the hub environment in use offers."""
        return self.hub / "share" / "tljh" / "traits.json"


def prefix_of_environment(environment: Path) -> Path | None:
    """The prefix that a hub environment belongs to, or None for any other environment."""
    if environment.parent.name == "versions" and environment.name.startswith("hub-"):
        return environment.parent.parent
    if environment.name == "hub" and (environment.parent / "versions").is_dir():
        return environment.parent
    return None


def paths_from_environment(
    environ: Mapping[str, str] | None = None, environment: str | None = None
) -> Paths:
    """Places of the installation that this process belongs to.

    `TLJH_INSTALL_PREFIX` wins; without it an installed command remembers its prefix by the
    environment it runs from.
    """
    named = (os.environ if environ is None else environ).get("TLJH_INSTALL_PREFIX")
    if named:
        return Paths(Path(named).absolute())
    own = prefix_of_environment(Path(environment or sys.prefix))
    return Paths(own or DEFAULT_PREFIX)


API_SECRET = "traefik-api.secret"


COOKIE_SECRET = "jupyterhub_cookie_secret"


INSTANCE = "instance"


# What tljh shows the hub's own API.
TOKEN_FILE = "hub-api.secret"


PASSWORDS = "passwords.dbm"


HUB_FILE = "hub.json"


DROP_INS = "jupyterhub_config.d"
