"""Addresses of the hub that contradict `internal_ssl`."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING

from tljh.settings.declaration import Problem
from tljh.settings.derived import uses_internal_ssl

if TYPE_CHECKING:
    from tljh.settings.root import Config


def find_contradictions(config: Config) -> Iterator[Problem]:
    """Yield a problem for each plain address at which servers would look for the hub."""
    if not uses_internal_ssl(config):
        return
    for section, traits in config.traitlets.items():
        url = traits.get("hub_connect_url")
        if isinstance(url, str) and url.startswith("http:"):
            key = f"{section}.hub_connect_url"
            yield Problem(
                (section, "hub_connect_url"),
                f"{key} is a plain address, and the hub answers TLS only with internal_ssl",
                fix=f"sudo tljh-config set {quote(key)} {quote(url.replace('http:', 'https:', 1))}",
            )
