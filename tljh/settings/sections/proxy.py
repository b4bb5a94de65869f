"""Settings of the proxy: where it listens, its handover, its logs, and its API."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tljh.settings.declaration import Cost, Section, setting
from tljh.settings.value_types import (
    Address,
    LoopbackAddress,
    Port,
    Seconds,
    check_file_path,
)

LogLevel = Literal["ERROR", "WARN", "INFO", "DEBUG"]


_ROUTE = re.compile(r"^/([A-Za-z0-9._~@-]+/)*([A-Za-z0-9._~@-]+)?$")
_TARGET = re.compile(r"^https?://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?/?$")


def _check_route(value: str) -> str:
    if not _ROUTE.match(value):
        raise ValueError(f"must be a path like / or /launcher/, not {value!r}")
    return value if value.endswith("/") else value + "/"


def _check_target(value: str) -> str:
    if value.startswith("/"):
        # Without steps that would lead elsewhere than the text says.
        if not set(value.rstrip("/").split("/")[1:]).isdisjoint({"", ".", ".."}):
            raise ValueError(f"must be a path without //, . and .., not {value!r}")
        return check_file_path(value).rstrip("/") or "/"
    if not _TARGET.match(value):
        raise ValueError(
            "must be a URL like http://127.0.0.1:9000, without a path: the request's own path "
            f"is passed on; or a directory like /srv/site; not {value!r}"
        )
    return value.rstrip("/")


RoutePath = Annotated[str, AfterValidator(_check_route)]
Target = Annotated[str, AfterValidator(_check_target)]


class HttpSettings(Section):
    """Plain HTTP; with HTTPS enabled it only redirects to HTTPS."""

    address: Address = setting(
        "",
        help="IP address to listen on; empty for all addresses of the machine.",
        cost=Cost.PROXY_RELOAD,
        example="127.0.0.1",
    )
    port: Port = setting(80, help="Port to listen on.", cost=Cost.PROXY_RELOAD, example="8080")


class TraefikApiSettings(Section):
    """The API of Traefik, through which the hub reads its routes."""

    ip: LoopbackAddress = setting(
        "127.0.0.1", help="Loopback address to listen on.", cost=Cost.PROXY_RELOAD
    )
    port: Port = setting(8099, help="Port to listen on.", cost=Cost.PROXY_RELOAD)
    username: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = setting(
        "api_admin", help="Name for basic authentication.", cost=Cost.PROXY_RELOAD
    )
    password: str = setting(
        "",
        help="Password for basic authentication; empty for a generated one.",
        cost=Cost.PROXY_RELOAD,
        secret=True,
    )


class ProxySettings(Section):
    """Handover, connections and logs of the proxy."""

    drain_timeout_s: Seconds = setting(
        86_400,
        help="Seconds that open web sockets stay open after a change of the proxy's listeners.",
        cost=Cost.PROXY_RELOAD,
        ge=0,
        le=604_800,
    )
    connections_per_address: int = setting(
        4096,
        help="Connections that one address, or one /64 network of IPv6, may have open at the same "
        "time, and requests at each server; 0 for no limit. A class behind one address counts as "
        "one: about 10 for each user. Connections of trusted_proxies count for the addresses that "
        "they name.",
        cost=Cost.NOTHING,
        example="20000",
        ge=0,
        le=1_000_000,
    )
    extra_routes: dict[RoutePath, Target] = setting(
        {},
        help="What else the proxy serves, by path: programs, such as http://127.0.0.1:9000, which "
        "requests reach with their paths unchanged; or files of a directory of root, such as "
        "/srv/site, without links that lead out of it. The path / takes what nothing else serves, "
        "and needs a hub.mode other than full.",
        cost=Cost.HUB_RESTART,
    )
    access_log: bool = setting(
        False,
        help="Whether the log of traefik.service has a line for each request: client's address, "
        "path, route and status, without query strings and headers, which may hold tokens.",
        cost=Cost.PROXY_RELOAD,
        example="true",
    )
    log_level: LogLevel = setting(
        "INFO",
        help="How much Traefik logs; DEBUG includes query strings, which may hold tokens, "
        "and the hash of the API's password.",
        cost=Cost.PROXY_RELOAD,
        example="DEBUG",
    )
