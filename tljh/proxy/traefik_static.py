"""Traefik's static configuration: entry points, time limits, and where the dynamic files are.

A change of it needs a new Traefik process, to which the supervisor hands over
(tljh/proxy/supervisor).
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tljh.base.paths import Paths
from tljh.proxy.supervisor.interface import KEEP_ALIVE_S, READY_ENTRY_POINT
from tljh.settings.derived import join_address
from tljh.settings.sections.proxy import LogLevel

HEADER = "# Written by tljh; edits are overwritten. Add to it in {config}/traefik_config.d/.\n"


SECURITY_HEADERS = "tljh-security-headers@file"


HSTS = "tljh-hsts@file"


RETRY = "tljh-retry@file"


REQUESTS_PER_ADDRESS = "tljh-requests-per-address@file"


# Above the priority of any route of users and admins. A router that must answer over plain HTTP,
# such as that of an ACME challenge, needs a higher priority than this.
REDIRECT_PRIORITY = 1_000_000


IDLE_TIMEOUT_S = 600


Tree = dict[str, Any]


@dataclass(frozen=True)
class StaticInputs:
    """All that the static configuration depends on; an empty address means all interfaces."""

    http_port: int = 80
    http_address: str = ""
    https_port: int | None = None
    https_address: str = ""
    api_port: int = 8099
    api_address: str = "127.0.0.1"
    trusted_proxies: tuple[str, ...] = ()
    # For a login by a header such as REMOTE_USER. The hub removes it from other requests.
    keeps_alias_headers: bool = False
    drain_s: int = 24 * 3600
    # Below the supervisor's --keep-alive, or a handover loses requests.
    keep_alive_s: float = KEEP_ALIVE_S
    access_log: bool = False
    log_level: LogLevel = "INFO"
    paths: Paths = field(default_factory=Paths)


def build_static_configuration(inputs: StaticInputs) -> Tree:
    """Return Traefik's static configuration as tljh needs it, without admins' drop-ins."""
    entry_points: Tree = {
        "http": _build_public_entry_point(
            inputs, join_address(inputs.http_address, inputs.http_port), has_tls=False
        )
    }
    if inputs.https_port is not None:
        entry_points["https"] = _build_public_entry_point(
            inputs, join_address(inputs.https_address, inputs.https_port), has_tls=True
        )
        entry_points["http"]["http"]["redirections"] = {
            "entryPoint": {
                "to": "https",
                "scheme": "https",
                "permanent": True,
                "priority": REDIRECT_PRIORITY,
            }
        }
    entry_points["auth_api"] = {
        "address": join_address(inputs.api_address, inputs.api_port),
        "http": {"aliasHeadersStrategy": "delete"},
    }
    # The supervisor opens the socket. Traefik's parser needs an address all the same.
    entry_points[READY_ENTRY_POINT] = {
        "address": "127.0.0.1:0",
        "http": {"aliasHeadersStrategy": "delete"},
    }
    configuration: Tree = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": inputs.log_level, "noColor": True},
        "api": {"dashboard": False},
        "ping": {"manualRouting": True},
        "entryPoints": entry_points,
        "providers": {
            # A new server's route is used at once, not after the default 2 s.
            "providersThrottleDuration": "0s",
            "file": {"directory": str(inputs.paths.traefik_dynamic), "watch": True},
        },
        # A server that restarts closes its idle connections, and a request that Traefik sends on
        # one at that moment is lost. So Traefik keeps no idle connections to servers.
        "serversTransport": {"maxIdleConnsPerHost": -1},
    }
    if inputs.access_log:
        # Without a file path, the lines go to standard output, and through the supervisor to the
        # unit's log.
        configuration["accessLog"] = {
            "format": "json",
            # Query strings and headers may contain tokens (`?token=`, `Authorization`), and
            # `Referer` repeats the previous page's query string. So none of them is logged.
            "fields": {
                "defaultMode": "keep",
                "queryParameters": {"defaultMode": "drop"},
                "headers": {"defaultMode": "drop"},
            },
        }
    return configuration


def _build_public_entry_point(inputs: StaticInputs, address: str, *, has_tls: bool) -> Tree:
    # jupyterhub-traefik-proxy's routers have neither middlewares nor TLS. So the entry point has
    # both.
    middlewares = [SECURITY_HEADERS, *([HSTS] if has_tls else []), REQUESTS_PER_ADDRESS, RETRY]
    http: Tree = {
        "middlewares": middlewares,
        "aliasHeadersStrategy": "keep" if inputs.keeps_alias_headers else "delete",
        "encodedCharacters": {
            # Names of notebooks may contain any of these; no file name can contain a NUL.
            "allowEncodedSlash": True,
            "allowEncodedBackSlash": True,
            "allowEncodedSemicolon": True,
            "allowEncodedPercent": True,
            "allowEncodedQuestionMark": True,
            "allowEncodedHash": True,
            "allowEncodedNullCharacter": False,
        },
    }
    if has_tls:
        http["tls"] = {"options": "default"}
    entry_point: Tree = {
        "address": address,
        # For routes that name no entry point. So the hub's routes stay the same when HTTPS is
        # switched on, and admins' routes do not appear on the internal entry points.
        "asDefault": True,
        "http": http,
        "transport": {
            # An older connection is closed with the next answer on it. So a while after a handover
            # no client uses a connection to the old Traefik.
            "keepAliveMaxTime": f"{inputs.keep_alive_s}s",
            "lifeCycle": {
                "requestAcceptGraceTimeout": "0s",
                # How long a replaced Traefik keeps its web sockets open; 0 would mean for ever. A
                # stop of the service does not wait for it.
                "graceTimeOut": f"{max(1, inputs.drain_s)}s",
            },
            "respondingTimeouts": {
                # Uploads and downloads have no time limit. Traefik has none for headers alone: its
                # readTimeout also ends a long upload, and a download that takes longer. What slow
                # clients hold is limited for each address (tljh/singleuser/nftables_rules.py).
                "readTimeout": "0s",
                "writeTimeout": "0s",
                "idleTimeout": f"{IDLE_TIMEOUT_S}s",
            },
        },
    }
    if inputs.trusted_proxies:
        trusted = {"trustedIPs": list(inputs.trusted_proxies)}
        entry_point["forwardedHeaders"] = trusted
    return entry_point


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """Merge two trees of settings; where both have a value, that of `over` wins.

    Names match regardless of case, as Traefik reads them.
    """
    merged: Tree = dict(base)
    names_in_base = {str(name).lower(): name for name in merged}
    for name, value in over.items():
        merged_name = names_in_base.get(str(name).lower(), name)
        base_value = merged.get(merged_name)
        if isinstance(base_value, Mapping) and isinstance(value, Mapping):
            merged[merged_name] = merge(base_value, value)
        else:
            merged[merged_name] = value
    return merged


def merge_all(base: Mapping[str, Any], drop_ins: Sequence[Mapping[str, Any]]) -> Tree:
    """Merge admins' drop-ins into our configuration; the last one wins."""
    merged: Tree = dict(base)
    for drop_in in drop_ins:
        merged = merge(merged, drop_in)
    return _share_udp_ports(merged)


def _share_udp_ports(configuration: Tree) -> Tree:
    """Set `reusePort` on UDP entry points, so that two Traefiks can serve them in a handover.

    The supervisor passes only TCP sockets.
    """
    entry_points = dict(configuration.get("entryPoints", {}))
    for name, entry_point in entry_points.items():
        is_udp = str(entry_point.get("address", "")).lower().endswith("/udp")
        if is_udp or any(str(key).lower() == "http3" for key in entry_point):
            entry_points[name] = {**entry_point, "reusePort": True}
    return {**configuration, "entryPoints": entry_points}


def format_yaml(tree: Mapping[str, Any], header: str = "") -> str:
    """Render a tree as YAML; equal trees give equal bytes."""
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 4096
    # Unescaped, some line breaks of Unicode are read back as others.
    writer.allow_unicode = False
    writer.representer.ignore_aliases = lambda data: True
    text = io.StringIO()
    writer.dump(dict(tree), text)
    return header + text.getvalue()


def format_static_file(configuration: Mapping[str, Any], config_directory: Path) -> str:
    """Return the text of traefik.yaml, Traefik's static configuration."""
    return format_yaml(configuration, HEADER.format(config=config_directory))


def list_listening_addresses(configuration: Mapping[str, Any]) -> dict[str, str]:
    """Return the addresses of TCP entry points by name, for which the supervisor opens sockets."""
    addresses: dict[str, str] = {}
    for name, entry_point in configuration.get("entryPoints", {}).items():
        address = str(entry_point.get("address", ""))
        if name != READY_ENTRY_POINT and not address.lower().endswith("/udp"):
            addresses[name] = address
    return addresses


def format_entry_points(configuration: Mapping[str, Any]) -> str:
    """Return the text of entrypoints.json, which the supervisor reads."""
    return json.dumps(list_listening_addresses(configuration), indent=2) + "\n"
