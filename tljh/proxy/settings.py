"""The settings of the proxy: where it listens, how it hands over, and its API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tljh.proxy.https_settings import acme_problems, certificate_problems
from tljh.proxy.kinds import Address, LoopbackAddress, Port
from tljh.settings import Cost, Problem, Section, setting

if TYPE_CHECKING:
    from tljh.config import Config

# The hub itself listens here, on loopback.
HUB_PORT = 15001


class HttpSettings(Section):
    """Plain HTTP; with HTTPS enabled it only redirects there."""

    address: Address = setting(
        "",
        help="IP address to listen on; empty for all addresses of the machine.",
        cost=Cost.PROXY_RELOAD,
        example="127.0.0.1",
    )
    port: Port = setting(80, help="Port to listen on.", cost=Cost.PROXY_RELOAD, example="8080")


class TraefikApiSettings(Section):
    """Traefik's own API, by which the hub looks at its routes."""

    ip: LoopbackAddress = setting(
        "127.0.0.1", help="Loopback address to listen on.", cost=Cost.PROXY_RELOAD
    )
    port: Port = setting(8099, help="Port to listen on.", cost=Cost.PROXY_RELOAD)
    username: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = setting(
        "api_admin", help="Name for basic authentication.", cost=Cost.PROXY_RELOAD
    )
    password: str = setting(
        "",
        help="Password for basic authentication; empty for one that is made up and kept.",
        cost=Cost.PROXY_RELOAD,
        secret=True,
    )


class ProxySettings(Section):
    """How the proxy hands over when its configuration changes."""

    drain_timeout_s: int = setting(
        86_400,
        help="Seconds that open web sockets live on after a change of the proxy's listeners.",
        cost=Cost.PROXY_RELOAD,
        ge=0,
        le=604_800,
    )


def _port_clashes(config: Config) -> Iterator[Problem]:
    sections: list[tuple[str, Section, int]] = [
        ("http", config.http, 80),
        ("traefik_api", config.traefik_api, 8099),
    ]
    if config.https.enabled:
        sections.insert(1, ("https", config.https, 443))
    # Defaults first: of two that clash, the one that somebody chose is the one to name.
    sections.sort(key=lambda one: "port" in one[1].model_fields_set)
    taken = {HUB_PORT: "the hub itself"}
    for name, chosen, default in sections:
        port: int = getattr(chosen, "port")  # noqa: B009 - all three have one
        if port in taken:
            others = {getattr(other, "port") for _, other, _ in sections}  # noqa: B009
            free = next(one for one in (default, 8080, 8443, 8098, 8081) if one not in others)
            yield Problem(
                (name, "port"),
                f"{name}.port is {port}, which {taken[port]} has already",
                fix=f"sudo tljh-config set {name}.port {free}",
            )
        taken.setdefault(port, f"{name}.port")


def contradictions(config: Config) -> Iterator[Problem]:
    """What is wrong with the proxy's settings taken together."""
    yield from certificate_problems(config)
    yield from acme_problems(config)
    yield from _port_clashes(config)
