"""Which servers speak TLS and which plain HTTP, as the hub's routes have it."""

from __future__ import annotations

from tljh.base.paths import Paths
from tljh.host.interface import HostReader


def list_servers(host: HostReader, paths: Paths, scheme: str) -> list[str]:
    """Return the users with a server that the proxy reaches by a scheme: `http` or `https`."""
    data = host.read(paths.traefik_routes_file) or b""
    # Reading thousands of routes takes seconds, and almost always there is nothing to find.
    if f'target = "{scheme}:'.encode() not in data:
        return []
    import toml

    try:
        tree = toml.loads(data.decode())
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
