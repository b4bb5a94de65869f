"""Public address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh.host.interface import HostReader
from tljh.settings.derived import site_url

if TYPE_CHECKING:
    from tljh.settings.root import Config


def public_url(config: Config, host: HostReader) -> str:
    """The address people use, as well as this machine knows it."""
    known = site_url(config)
    if known is not None:
        return known
    if config.https.enabled:
        scheme, port, usual = "https", config.https.port, 443
    else:
        scheme, port, usual = "http", config.http.port, 80
    shown_port = "" if port == usual else f":{port}"
    return f"{scheme}://{_own_address(host)}{shown_port}{config.base_url}"


def _own_address(host: HostReader) -> str:
    """The address that this machine's default route goes out from; loopback without one."""
    shown = host.query(["ip", "-4", "-o", "route", "get", "192.0.2.1"])
    words = shown.out.split()
    if shown.ok and "src" in words:
        return words[words.index("src") + 1]
    return "127.0.0.1"
