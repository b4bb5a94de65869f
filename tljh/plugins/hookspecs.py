"""The hooks that a plugin can implement: TLJH's nine, with TLJH's names and arguments."""

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
    """Change JupyterHub's configuration object `c`, as in a `jupyterhub_config.py`."""


@hookspec
def tljh_config_post_install(config: dict[str, Any]) -> None:
    """Change config.yaml, given as a mapping, in place; keep what an admin has set."""


@hookspec
def tljh_post_install() -> None:
    """Run after an installation. Its effects cannot be rolled back; the plan marks it so."""


@hookspec
def tljh_new_user_create(username: str) -> None:
    """Run after the Linux account `username` was made."""
