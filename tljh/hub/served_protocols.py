"""Which servers speak TLS and which plain HTTP, as the hub's routes have it."""

from __future__ import annotations

from tljh.base.paths import Paths
from tljh.host.interface import HostReader


def list_servers(host: HostReader, paths: Paths, scheme: str) -> list[str]:
    """Return the users with a server that the proxy reaches by a scheme: `http` or `https`."""
    import toml

    try:
        tree = toml.loads((host.read(paths.traefik_routes_file) or b"").decode())
        routes = tree.get("jupyterhub", {}).get("routes", {}).values()
        return sorted(
            {
                str(route["data"]["user"])
                for route in routes
                if "user" in route["data"] and str(route["target"]).startswith(f"{scheme}:")
            }
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
