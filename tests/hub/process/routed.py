"""A real hub behind a real Traefik; each user's server is a program of `their_server.py`."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.hub.process.running import HERE, START_TIMEOUT_S, TOKEN, RunningHub, free_port
from tljh.base.paths import Paths
from tljh.proxy.traefik_dynamic import DynamicInputs, build_dynamic_files, hash_api_password
from tljh.proxy.traefik_static import StaticInputs, build_static_configuration, format_static_file

TRAEFIK = Path(sys.executable).with_name("traefik")
API_PASSWORD = "of-the-api"


@dataclass
class RoutedHub(RunningHub):
    """A hub whose public address is Traefik's."""

    public_port: int = 0
    api_port: int = 0
    traefik: subprocess.Popen[bytes] | None = None

    @property
    def site(self) -> str:
        return f"http://127.0.0.1:{self.public_port}"

    @property
    def paths(self) -> Paths:
        return Paths(self.directory, traefik_dir=self.directory / "traefik")

    def adapt(self, traits: dict[str, dict[str, object]]) -> None:
        traits["JupyterHub"] |= {
            "bind_url": f"{self.site}/",
            "proxy_class": "tljh.hub.process.traefik_routes.RoutesProxy",
            "load_roles": [
                {"name": "user", "scopes": ["self", "shares!user"]},
                {
                    "name": "tests",
                    "scopes": ["admin:users", "admin:servers", "proxy", "shares"],
                    "services": ["tests"],
                },
            ],
        }
        traits["TraefikProxy"] |= {
            "traefik_api_url": f"http://127.0.0.1:{self.api_port}",
            "traefik_api_password": API_PASSWORD,
        }
        traits["Spawner"] |= {
            "cmd": [sys.executable, str(HERE / "their_server.py")],
            "environment": {},
        }

    def start_traefik(self) -> None:
        self.public_port, self.api_port = free_port(), free_port()
        paths = self.paths
        paths.traefik_dynamic.mkdir(parents=True)
        static = build_static_configuration(
            StaticInputs(
                http_port=self.public_port,
                http_address="127.0.0.1",
                api_port=self.api_port,
                paths=paths,
            )
        )
        paths.traefik_static.write_text(format_static_file(static, paths.config_dir))
        inputs = DynamicInputs("api_admin", hash_api_password(API_PASSWORD), paths=paths)
        for file in build_dynamic_files(inputs):
            file.path.write_bytes(file.content)
        with (self.directory / "traefik.log").open("ab") as log:
            self.traefik = subprocess.Popen(
                [TRAEFIK, f"--configfile={paths.traefik_static}"], stdout=log, stderr=log
            )

    def await_server(self, name: str, server_name: str = "") -> None:
        """Start a user's server through the API, and wait until it is ready."""
        path = f"servers/{server_name}" if server_name else "server"
        answer = self.api("POST", f"users/{name}/{path}")
        assert answer.status_code in (201, 202), answer.text
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            server = self.api("GET", f"users/{name}").json()["servers"].get(server_name)
            if server and server["ready"]:
                return
            time.sleep(0.05)
        raise AssertionError(self.log[-4000:])


@contextlib.contextmanager
def routed_hub(directory: Path, text: str, drop_in: str = "") -> Iterator[RoutedHub]:
    hub = RoutedHub(directory, free_port())
    hub.start_traefik()
    try:
        hub.configure(text, drop_in)
        hub.start()
        yield hub
    finally:
        for name in ("ann", "bob", "root", "eve"):
            with contextlib.suppress(requests.RequestException):
                hub.api("DELETE", f"users/{name}/server")
        for process in (hub.process, hub.traefik):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()


__all__ = ["TOKEN", "RoutedHub", "routed_hub"]
