"""The page of servers that do not run, and folders of `proxy.extra_routes`: where and by what.

tljh-pages.service serves both (tljh/proxy/page_server.py), so neither needs the hub.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tljh.settings.derived import list_folder_routes, list_program_routes

if TYPE_CHECKING:
    from tljh.settings.root import Config


# Below the priority of any rule, which is its length.
LAST_PRIORITY = 1


def _has_bare_addresses(config: Config) -> bool:
    return config.hub.mode != "full" or config.base_url != "/"


def list_page_paths(config: Config) -> dict[str, int | None]:
    """Return the paths that Traefik sends to the page server, with priorities other than usual."""
    paths: dict[str, int | None] = dict.fromkeys(list_folder_routes(config))
    if _has_bare_addresses(config) and "/" not in config.proxy.extra_routes:
        paths["/"] = LAST_PRIORITY
    if config.hub.mode != "full" and config.pages.stopped_server.before_programs:
        # Shorter than the rule of any user's server.
        paths[f"{config.base_url}user/"] = None
    return paths


def format_page_settings(config: Config) -> bytes:
    """Return the file that the page server reads: its texts, links and folders, as JSON."""
    page = config.pages.stopped_server
    settings: dict[str, Any] = {
        "servers": f"{config.base_url}user/",
        "title": page.title,
        "text": page.text,
        "links": dict(page.links) or _choose_links(config),
        "site": config.pages.title,
        "folders": list_folder_routes(config),
    }
    return json.dumps(settings, indent=2, sort_keys=True).encode() + b"\n"


def _choose_links(config: Config) -> dict[str, str]:
    if config.hub.mode == "full":
        return {"Go to the hub": config.base_url}
    if config.hub.mode == "no-pages-at-root":
        return {"Go to the hub": f"{config.base_url}hub/home"}
    routes = {**list_program_routes(config), **list_folder_routes(config)}
    return {"Go to the start page": "/"} if "/" in routes else {}
