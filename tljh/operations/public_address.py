"""The address under which users reach the hub, for messages and links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh.host.interface import HostReader
from tljh.settings.derived import get_site_url
from tljh.users.claims import Claim

if TYPE_CHECKING:
    from tljh.settings.root import Config


def find_public_url(config: Config, host: HostReader) -> str:
    """Return the URL of the hub, which ends in base_url.

    Without a configured domain it has the address of this machine's network interface: behind NAT
    users need another one, which this machine cannot know.
    """
    url = get_site_url(config)
    if url is not None:
        return url
    if config.https.enabled:
        scheme, port, default_port = "https", config.https.port, 443
    else:
        scheme, port, default_port = "http", config.http.port, 80
    port_suffix = "" if port == default_port else f":{port}"
    return f"{scheme}://{_find_own_address(host)}{port_suffix}{config.base_url}"


def format_claim_link(
    config: Config, host: HostReader, claim: Claim, *, has_token: bool = True
) -> str:
    """Return the URL by which an admin sets a first password.

    Without the token, it leads to a page that asks for it.
    """
    base_url = config.base_url
    path = claim.path(base_url) if has_token else claim.path_without_token(base_url)
    return find_public_url(config, host).removesuffix(base_url) + path


def _find_own_address(host: HostReader) -> str:
    """Return the source address of this machine's default route; loopback without a route."""
    # 192.0.2.1 is a documentation address: no packet is sent, the kernel only looks up the route.
    route = host.query(["ip", "-4", "-o", "route", "get", "192.0.2.1"])
    words = route.out.split()
    if route.ok and "src" in words:
        return words[words.index("src") + 1]
    return "127.0.0.1"
