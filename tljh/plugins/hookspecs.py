"""The hooks that a plugin can implement: first TLJH's nine, with TLJH's names and arguments."""

from __future__ import annotations

from typing import Any

import pluggy

hookspec = pluggy.HookspecMarker("tljh")


hookimpl = pluggy.HookimplMarker("tljh")


@hookspec
def tljh_extra_user_conda_packages() -> list[str]:  # type: ignore[empty-body]
    """Return conda specs to install in the user environment."""


@hookspec
def tljh_extra_user_conda_channels() -> list[str]:  # type: ignore[empty-body]
    """Return conda channels for the user environment, in place of the configured ones."""


@hookspec
def tljh_extra_user_pip_packages() -> list[str]:  # type: ignore[empty-body]
    """Return pip requirements to install in the user environment."""


@hookspec
def tljh_extra_hub_pip_packages() -> list[str]:  # type: ignore[empty-body]
    """Return pip requirements to install in the hub environment."""


@hookspec
def tljh_extra_apt_packages() -> list[str]:  # type: ignore[empty-body]
    """Return Debian packages to install, before the pip and conda packages."""


@hookspec
def tljh_custom_jupyterhub_config(c: Any) -> None:
    """Change JupyterHub's configuration object `c`, as a `jupyterhub_config.py` would."""


@hookspec
def tljh_config_post_install(config: dict[str, Any]) -> None:
    """Change config.yaml, given as a mapping, in place; keep what an admin has set."""


@hookspec
def tljh_post_install() -> None:
    """Run after an installation. Its effects cannot be rolled back; the plan marks it so."""


@hookspec
def tljh_new_user_create(username: str) -> None:
    """Run after the Linux account `username` was made."""


@hookspec
def tljh_settings() -> dict[str, Any]:  # type: ignore[empty-body]
    """Return sections of config.yaml: classes that inherit Section, by the sections' names."""


@hookspec
def tljh_commands() -> dict[str, Any]:  # type: ignore[empty-body]
    """Return functions by the verbs of `tljh PLUGIN VERB` that they carry out."""


@hookspec
def tljh_resources(config: dict[str, Any]) -> list[Any]:  # type: ignore[empty-body]
    """Return files, directories, units and packages that the machine must have."""


@hookspec
def tljh_traefik_rules(config: dict[str, Any]) -> dict[str, Any]:  # type: ignore[empty-body]
    """Return middlewares, routers and services for Traefik, as its dynamic configuration."""


@hookspec
def tljh_doctor_checks(config: dict[str, Any]) -> list[Any]:  # type: ignore[empty-body]
    """Return what is wrong on this machine, for `tljh doctor`."""


@hookspec
def tljh_backup_paths(config: dict[str, Any]) -> list[str]:  # type: ignore[empty-body]
    """Return files and directories that belong into a backup."""


@hookspec
def tljh_before_upgrade(old_version: str, new_version: str) -> None:
    """Run before another release of tljh is applied; a required plugin's error refuses it."""


@hookspec
def tljh_after_upgrade(old_version: str, new_version: str) -> None:
    """Run once another release of tljh works."""


@hookspec
def tljh_before_removal() -> None:
    """Run before the plugin, or the whole hub, is removed."""


@hookspec
def tljh_after_removal() -> None:
    """Run once the plugin, or the hub's units and files, are removed."""


@hookspec
def tljh_user_removed(username: str) -> None:
    """Run after a user was removed; `username` is the name of the Linux account."""


@hookspec
def tljh_server_starting(spawner: Any) -> None:
    """Run right before a user's server starts; may change `spawner`, such as its environment."""
