"""JupyterHub's proxy class: routes in a file that the unprivileged Traefik reads."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

from jupyterhub_traefik_proxy.fileprovider import TraefikFileProviderProxy
from jupyterhub_traefik_proxy.traefik_utils import (
    TraefikConfigFileHandler,
    generate_alias,
    generate_rule,
)
from tornado.httpclient import HTTPClientError
from traitlets import default, observe

GROUP = "traefik"


# The characters that RFC 3986, 2.2 reserves. Traefik 3.7 decodes a request's path except for
# these before it compares it with a rule (`/user/with%2Bplus`). But generate_rule decodes these,
# too, so the rule would never match. They are encoded once more before it.
_ENCODED_RESERVED = re.compile("%(3A|2F|3F|23|5B|5D|40|21|24|26|27|28|29|2A|2B|2C|3B|3D)", re.I)


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

    @default("dynamic_config_handler")
    def _default_handler(self) -> GroupReadableHandler:
        return GroupReadableHandler(self.dynamic_config_file)

    @default("dynamic_config")
    def _load_dynamic_config(self) -> Any:
        # A route without entry points is served at all public ones (`asDefault` in the static
        # file). Routes that an earlier hub wrote may name one that does not exist any more.
        config = super()._load_dynamic_config()
        for router in config["http"]["routers"].values():
            router.pop("entryPoints", None)
        return config

    def _dynamic_config_for_route(self, routespec: str, target: str, data: Any) -> Any:
        traefik, hub = super()._dynamic_config_for_route(routespec, target, data)
        for router in traefik["http"]["routers"].values():
            router.pop("entryPoints", None)
            router["rule"] = generate_rule(_ENCODED_RESERVED.sub(r"%25\1", routespec))
        return traefik, hub

    async def _check_for_traefik_service(self, routespec: str, kind: str) -> bool:
        """Return whether Traefik has loaded a router or service.

        With HTTPS, Traefik's names of routers begin with the entry point.
        """
        for prefix in ("", f"{self.traefik_entrypoint}-"):
            name = f"{prefix}{generate_alias(self.validate_routespec(routespec), kind)}"
            try:
                await self._traefik_api_request(f"/api/http/{kind}s/{name}@{self.provider_name}")
            except HTTPClientError as error:
                if error.code != 404:
                    self.log.exception("Traefik's API gave no answer about %s", name)
            except Exception:
                self.log.exception("Traefik's API gave no answer about %s", name)
            else:
                return True
        return False

    @observe("dynamic_config_file")
    def _set_dynamic_config_file(self, change: Any) -> None:
        self.dynamic_config_handler = GroupReadableHandler(self.dynamic_config_file)
