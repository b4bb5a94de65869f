"""Paths below a directory of which there can be several: the one in use, and one being tried."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
    def contributions(self) -> Path:
        """What the environment's plugins ask for, recorded when it was built."""
        return self.directory / "share" / "tljh" / "contributions.json"

    @property
    def left_out(self) -> Path:
        """Packages that could not be installed, with the reasons; missing if there are none."""
        return self.directory / "share" / "tljh" / "left-out.json"

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
    def plugins(self) -> Path:
        """Plugins that the hub does not load, and those that it must load."""
        return self.directory / "plugins.json"

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
