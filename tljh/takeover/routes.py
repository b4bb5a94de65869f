"""The routes that TLJH's hub wrote, as our Traefik serves them until our hub writes its own.

Both hubs write the same form. Ours adds what holds requests while the hub restarts.
"""

from __future__ import annotations

import toml

from tljh.base.well_known import HUB_MIDDLEWARES

# TLJH's route to Traefik's own API; ours has another.
API_ROUTER = "route_api"
API_MIDDLEWARE = "auth_api"


def convert_routes(data: bytes) -> bytes:
    """Return the content of TLJH's rules.toml for our Traefik: requests to the hub wait for it.

    A content that is no TOML comes back empty: our hub writes all routes when it starts.
    """
    try:
        routes = toml.loads(data.decode(errors="replace"))
    except toml.TomlDecodeError:
        return b""
    http = routes.get("http", {})
    http.get("routers", {}).pop(API_ROUTER, None)
    http.get("middlewares", {}).pop(API_MIDDLEWARE, None)
    for route in routes.get("jupyterhub", {}).get("routes", {}).values():
        router = http.get("routers", {}).get(route.get("router"))
        if router is not None and route.get("data", {}).get("hub"):
            router["middlewares"] = list(HUB_MIDDLEWARES)
    if not http.get("middlewares", True):
        # Traefik refuses an empty section.
        del http["middlewares"]
    return bytes(toml.dumps(routes).encode())
