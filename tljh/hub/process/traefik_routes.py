"""JupyterHub's proxy class: routes in a file that the unprivileged Traefik reads."""

from __future__ import annotations

import json
import os
import re
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

from jupyterhub import orm, scopes
from jupyterhub_traefik_proxy.fileprovider import TraefikFileProviderProxy
from jupyterhub_traefik_proxy.traefik_utils import (
    TraefikConfigFileHandler,
    generate_alias,
    generate_rule,
)
from tornado.httpclient import HTTPClientError
from traitlets import Bool, default, observe

from tljh.base.paths import get_paths
from tljh.base.well_known import (
    AWAY_PAGE_SERVICE,
    HUB_MIDDLEWARES,
    HUB_TLS_TRANSPORT,
    HUB_TRANSPORT,
)
from tljh.hub.process.entry import entry_rule, entry_value, session_cookie
from tljh.hub.process.internal_tls import ProxyTls, get_transport_names
from tljh.hub.process.page_guard import REFERRER_POLICY

GROUP = "traefik"


# After this time without an answer, Traefik serves the page of a hub that is away: connections wait
# at the hub's socket, which systemd keeps, and a hub that has crashed may take long to return.
# A hub that is only busy is not away: with 200 requests waiting on a machine with a load of 17 for
# two processors, its health check took more than 8 s.
AWAY_AFTER_S = 20


# The same while a reload or an upgrade restarts the hub: requests wait, and none is lost. As long
# as the health check of a reload.
RESTART_S = 60


ASK_EVERY_S = 2


# The characters that RFC 3986, 2.2 reserves. Traefik 3.7 decodes a request's path except for
# these before it compares it with a rule (`/user/with%2Bplus`). But generate_rule decodes these,
# too, so the rule would never match. They are encoded once more before it.
_ENCODED_RESERVED = re.compile("%(3A|2F|3F|23|5B|5D|40|21|24|26|27|28|29|2A|2B|2C|3B|3D)", re.I)


# On answers of servers and services. A service worker of a server's page must not reach beyond the
# server's own path, and no server's page may match the hub's Cross-Origin-Opener-Policy or clear
# what its visitors have stored. An empty value removes a header.
SERVED = "tljh-served"


_SERVED_HEADERS = {
    "Service-Worker-Allowed": "",
    "Cross-Origin-Opener-Policy": "",
    "Clear-Site-Data": "",
    "Referrer-Policy": REFERRER_POLICY,
}


def _name_transport(service: str) -> str:
    return f"{service}_tls"


class GroupReadableHandler(TraefikConfigFileHandler):
    """A writer of the file of routes that never shows Traefik a partial or unreadable file."""

    def atomic_dump(self, data: Any) -> None:
        path = Path(self.file_path)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w") as stream:
                # The directory is setgid, so the file has Traefik's group.
                os.fchmod(descriptor, 0o640)
                self._dump(data, stream)
                stream.flush()
                os.fsync(descriptor)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


class RoutesProxy(TraefikFileProviderProxy):
    """A proxy class for a Traefik that runs as its own systemd service."""

    ask_before_entry = Bool(
        True,
        help="Whether browsers need the hub's cookie to reach a user's server.",
        config=True,
    )

    @property
    def asks_before_entry(self) -> bool:
        """Whether browsers need the cookie: not where each user has a host name of the own.

        Requests without the cookie have to reach the hub, so it must have the route of `/`.
        """
        app = self.app
        has_all_paths = app is not None and app.hub.routespec == app.base_url
        return bool(self.ask_before_entry and has_all_paths and not self.host_routing)

    def entry_of(self, visitor: Any, owner: str) -> str:
        """Return the value of a user's cookie at an owner's servers."""
        return entry_value(self.app.cookie_secret, visitor.cookie_id, owner)

    def visitors(self, owner: str) -> set[str]:
        """Return the users who agreed to enter the running servers of an owner."""
        return {name for data in self._data_of(owner) for name in data.get("visitors", [])}

    def _data_of(self, owner: str) -> list[dict[str, Any]]:
        routes = self.dynamic_config["jupyterhub"]["routes"].values()
        return [route["data"] for route in routes if route["data"].get("user") == owner]

    async def add_route(self, routespec: str, target: str, data: Any) -> None:
        """Add a route; to another server of an owner, the visitors of the others come along."""
        if visitors := self.visitors(data["user"]) if "user" in data else None:
            data = {**data, "visitors": sorted(visitors | set(data.get("visitors", [])))}
        if data.get("extra"):
            self._forget_health_check(routespec)
        # A transport of a time before would stay when the configurations merge.
        service = generate_alias(self.validate_routespec(routespec), "service")
        balancers = self.dynamic_config["http"]["services"]
        balancers.get(service, {}).get("loadBalancer", {}).pop("serversTransport", None)
        await super().add_route(routespec, target, data)

    def _forget_health_check(self, routespec: str) -> None:
        """Remove what a route of the hub has and a program's route has not, before they merge.

        The route of `/` was the hub's before hub.mode was changed.
        """
        http = self.dynamic_config["http"]
        http["routers"].pop(generate_alias(self.validate_routespec(routespec), "router"), None)
        http["services"].pop(generate_alias(self.validate_routespec(routespec), "service"), None)

    async def admit(self, owner: str, visitor: str) -> None:
        """Let a visitor's browsers in until the owner's servers stop or the visitor logs out."""
        for data in self._data_of(owner):
            data["visitors"] = sorted({*data.get("visitors", []), visitor})
        await self._write_routes_of({owner})

    async def renew_entries(self, name: str) -> None:
        """End the entries of a user whose sessions ended, at the own servers and at others'."""
        owners = {name}
        for route in self.dynamic_config["jupyterhub"]["routes"].values():
            if name in (visitors := route["data"].get("visitors", [])):
                visitors.remove(name)
                owners.add(route["data"]["user"])
        await self._write_routes_of(owners)

    async def _write_routes_of(self, owners: set[str]) -> None:
        for routespec, route in (await self.get_all_routes()).items():
            if route["data"].get("user") in owners:
                await self.add_route(routespec, route["target"], route["data"])

    def _entries(self, data: dict[str, Any]) -> list[str]:
        owner = data["user"]
        scope = f"access:servers!server={owner}/{data.get('server_name', '')}"
        names = [owner, *data.get("visitors", [])]
        users = filter(None, (orm.User.find(self.db, name) for name in names))
        return [
            self.entry_of(user, owner)
            for user in users
            if user.name == owner or self._has_scope(user, scope)
        ]

    def _has_scope(self, user: Any, scope: str) -> bool:
        parsed = scopes.parse_scopes(scopes.get_scopes_for(user))
        return bool(scopes.has_scope(scope, parsed, db=self.db))

    async def check_routes(self, user_dict: Any, service_dict: Any, routes: Any = None) -> None:
        """Check the routes, and write those again that an earlier hub wrote in another way."""
        for routespec, route in (await self.get_all_routes()).items():
            config, _ = self._dynamic_config_for_route(routespec, route["target"], route["data"])
            current = self.dynamic_config["http"]
            if any(
                current.get(kind, {}).get(name) != value
                for kind in ("routers", "serversTransports")
                for name, value in config["http"].get(kind, {}).items()
            ):
                await self.add_route(routespec, route["target"], route["data"])
        await super().check_routes(user_dict, service_dict, routes)
        # JupyterHub looks for a service's route by its name. So after a change of base_url, it
        # deletes the old route and adds none.
        current_routes = await self.get_all_routes()
        for service in service_dict.values():
            if service.server is not None and service.proxy_spec not in current_routes:
                await self.add_service(service)

    @default("dynamic_config_handler")
    def _default_handler(self) -> GroupReadableHandler:
        return GroupReadableHandler(self.dynamic_config_file)

    @default("dynamic_config")
    def _load_dynamic_config(self) -> Any:
        # A route without entry points is served at all public ones (`asDefault` in the static
        # file). Routes that an earlier hub wrote may name one that does not exist any more.
        config = super()._load_dynamic_config()
        http = config["http"]
        for router in http["routers"].values():
            router.pop("entryPoints", None)
        for name, service in tuple(http["services"].items()):
            if service.get("failover", {}).get("service", name) not in http["services"]:
                # Of a hub's route that JupyterHub has deleted.
                del http["services"][name]
        return config

    def _dynamic_config_for_route(self, routespec: str, target: str, data: Any) -> Any:
        traefik, hub = super()._dynamic_config_for_route(routespec, target, data)
        for router in traefik["http"]["routers"].values():
            router.pop("entryPoints", None)
            rule = generate_rule(_ENCODED_RESERVED.sub(r"%25\1", routespec))
            router["rule"] = rule
            if "user" in data and self.asks_before_entry:
                session = session_cookie(data["user"], data.get("server_name", ""))
                router["rule"] = f"{rule} && {entry_rule(self._entries(data), session)}"
                # By default longer rules go first, and the number of visitors must not decide.
                router["priority"] = len(rule)
            if data.keys() & {"user", "service"}:
                router["middlewares"] = [SERVED]
        traefik["http"]["middlewares"] = {
            SERVED: {"headers": {"customResponseHeaders": dict(_SERVED_HEADERS)}}
        }
        for route in hub["routes"].values():
            self._encrypt(traefik["http"], route)
            self._fall_back(traefik["http"], route, AWAY_AFTER_S)
        return traefik, hub

    @cached_property
    def _tls(self) -> ProxyTls | None:
        """What Traefik shows to hub and servers; None without `internal_ssl` and a trace of it."""
        if not getattr(self.app, "has_tls", False):
            return None
        paths = get_paths()
        return ProxyTls.write(paths.internal_ssl, paths.traefik_internal)

    def _encrypt(self, http: Any, route: Any) -> None:
        """Give the route of a server or of the hub that speaks TLS the certificates for it."""
        data, service = route["data"], route["service"]
        if self._tls is None or not route["target"].startswith("https:"):
            return
        if "user" in data:
            name = _name_transport(service)
            transport = self._tls.build_server_transport(data["user"], data.get("server_name", ""))
        elif data.get("hub") and not data.get("extra"):
            name, transport = HUB_TLS_TRANSPORT, self._tls.build_hub_transport()
        else:
            return
        http["serversTransports"] = {name: transport}
        http["services"][service]["loadBalancer"]["serversTransport"] = name

    def _keys_for_route(self, routespec: str) -> Any:
        traefik, hub = super()._keys_for_route(routespec)
        name = _name_transport(generate_alias(routespec, "service"))
        if name in self.dynamic_config["http"].get("serversTransports", {}):
            traefik = (*traefik, ["http", "serversTransports", name])
        return traefik, hub

    def remove_unused_transports(self) -> None:
        """Remove what no route uses: after a switch, and files of certificates before a renewal."""
        http = self.dynamic_config["http"]
        transports = http.get("serversTransports", {})
        unused = transports.keys() - get_transport_names(http)
        if unused:
            http["serversTransports"] = {
                name: value for name, value in transports.items() if name not in unused
            }
            self._persist_dynamic_config()
        if self._tls is not None:
            self._tls.remove_others()

    def _fall_back(self, http: Any, route: Any, away_after_s: int) -> None:
        """Make the hub's route lead to a page while the hub does not answer for so long.

        Routes of users' servers are left alone: who loses a server must see that.
        """
        router, service = http["routers"].get(route["router"]), route["service"]
        # JupyterHub marks extra routes as the hub's. But their programs answer no request of the
        # hub's health check, and are there while the hub is not.
        is_hub = route["data"].get("hub") and not route["data"].get("extra")
        if not is_hub or router is None or service not in http["services"]:
            return
        balancer = http["services"][service]["loadBalancer"]
        balancer.setdefault("serversTransport", HUB_TRANSPORT)
        balancer |= {
            "healthCheck": {
                "path": f"{self.hub.base_url}api/health",
                "interval": f"{ASK_EVERY_S}s",
                "timeout": f"{away_after_s}s",
            },
        }
        router["middlewares"] = list(HUB_MIDDLEWARES)
        router["service"] = f"{service}_or_page"
        http["services"][router["service"]] = {
            "failover": {"service": service, "fallback": AWAY_PAGE_SERVICE}
        }

    def fall_back_after(self, away_after_s: int) -> None:
        """Set the time without an answer after which Traefik serves the page of an absent hub."""
        for route in self.dynamic_config["jupyterhub"]["routes"].values():
            self._fall_back(self.dynamic_config["http"], route, away_after_s)
        self._persist_dynamic_config()

    async def _check_for_traefik_service(self, routespec: str, kind: str) -> bool:
        """Return whether Traefik has loaded a router or service.

        With HTTPS, Traefik's names of routers begin with the entry point.
        """
        for prefix in ("", f"{self.traefik_entrypoint}-"):
            name = f"{prefix}{generate_alias(self.validate_routespec(routespec), kind)}"
            try:
                answer = await self._traefik_api_request(
                    f"/api/http/{kind}s/{name}@{self.provider_name}"
                )
            except HTTPClientError as error:
                if error.code != 404:
                    self.log.exception("Traefik's API gave no answer about %s", name)
            except Exception:
                self.log.exception("Traefik's API gave no answer about %s", name)
            else:
                return kind != "router" or self._is_loaded(routespec, answer.body)
        return False

    def _is_loaded(self, routespec: str, answer: bytes) -> bool:
        """Return whether Traefik's answer has the router's rule of now, not an earlier one."""
        alias = generate_alias(self.validate_routespec(routespec), "router")
        router = self.dynamic_config["http"]["routers"].get(alias, {})
        return bool(json.loads(answer).get("rule") == router.get("rule"))

    @observe("dynamic_config_file")
    def _set_dynamic_config_file(self, change: Any) -> None:
        self.dynamic_config_handler = GroupReadableHandler(self.dynamic_config_file)
