"""Names of cookies that would hand the hub's session to users' servers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tljh.settings.declaration import Problem

if TYPE_CHECKING:
    from tljh.settings.root import Config

PREFIXED = "cookie_host_prefix_enabled"


def find_contradictions(config: Config) -> Iterator[Problem]:
    """Refuse cookies with `__Host-`, which have the path `/`, where users share one host name."""
    traits = config.traitlets.get("JupyterHub", {})
    if traits.get(PREFIXED) is True and not traits.get("subdomain_host"):
        yield Problem(
            ("JupyterHub", PREFIXED),
            f"JupyterHub.{PREFIXED} would send the hub's session to each server that a user opens",
            why="cookies with `__Host-` have the path `/`, and all servers share one host name",
            fix=f"sudo tljh-config unset JupyterHub.{PREFIXED} (it is on by itself where "
            "JupyterHub.subdomain_host gives each user a host name)",
        )
