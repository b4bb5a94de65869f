"""The hub's routes as a file that the unprivileged Traefik can read."""

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


# Characters reserved by RFC 3986, 2.2: Traefik 3.7 matches its rules with a path in which these
# stay encoded and all else is decoded (`/user/with%2Bplus`), generate_rule decodes them too.
_ENCODED_RESERVED = re.compile("%(3A|2F|3F|23|5B|5D|40|21|24|26|27|28|29|2A|2B|2C|3B|3D)", re.I)


class GroupReadableHandler(TraefikConfigFileHandler):
    """Writes beside and renames, with the mode and group in place before Traefik can look."""

    def atomic_dump(self, data: Any) -> None:
        path = Path(self.file_path)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w") as stream:
                # The directory is setgid, so the file belongs to Traefik's group already.
                os.fchmod(descriptor, 0o640)
                self._dump(data, stream)
                stream.flush()
                os.fsync(descriptor)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


class RoutesProxy(TraefikFileProviderProxy):
    """JupyterHub's proxy class for a Traefik that is a service of its own."""

    @default("dynamic_config_handler")
    def _default_handler(self) -> GroupReadableHandler:
        return GroupReadableHandler(self.dynamic_config_file)

    @default("dynamic_config")
    def _load_dynamic_config(self) -> Any:
        kept = super()._load_dynamic_config()
        for router in kept["http"]["routers"].values():
            router.pop("entryPoints", None)
        return kept

    def _dynamic_config_for_route(self, routespec: str, target: str, data: Any) -> Any:
        traefik, hub = super()._dynamic_config_for_route(routespec, target, data)
        for router in traefik["http"]["routers"].values():
            router.pop("entryPoints", None)
            router["rule"] = generate_rule(_ENCODED_RESERVED.sub(r"%25\1", routespec))
        return traefik, hub

    async def _check_for_traefik_service(self, routespec: str, kind: str) -> bool:
        """Whether Traefik has it by now; with HTTPS a router has a name for each entry point."""
        for prefix in ("", f"{self.traefik_entrypoint}-"):
            name = f"{prefix}{generate_alias(self.validate_routespec(routespec), kind)}"
            try:
                await self._traefik_api_request(f"/api/http/{kind}s/{name}@{self.provider_name}")
            except HTTPClientError as error:
                if error.code != 404:
                    self.log.exception("Traefik was asked for %s in vain", name)
            except Exception:
                self.log.exception("Traefik was asked for %s in vain", name)
            else:
                return True
        return False

    @observe("dynamic_config_file")
    def _set_dynamic_config_file(self, change: Any) -> None:
        self.dynamic_config_handler = GroupReadableHandler(self.dynamic_config_file)
