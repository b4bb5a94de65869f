"""A real hub process with a given config.yaml, and a user's browser."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tljh.base.paths import Paths
from tljh.hub.configuration import as_json, build_hub_configuration
from tljh.settings.load import load

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[2]
START_TIMEOUT_S = 60
TOKEN = "b" * 40


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RunningHub:
    """A hub under `tljh.hub.process.app` with its state in `directory`.

    `text` and `drop_in` are the configuration that was written last.
    """

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    text: str = ""
    drop_in: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hub"

    @property
    def paths(self) -> Paths:
        return Paths(self.directory)

    @property
    def log(self) -> str:
        return (self.directory / "hub.log").read_text()

    def configure(self, text: str, drop_in: str = "") -> None:
        """Write what a reload with this config.yaml would apply, except for ports and proxy."""
        self.text, self.drop_in = text, drop_in
        applied = self.directory / "applied"
        (applied / "jupyterhub_config.d").mkdir(parents=True, exist_ok=True)
        self.paths.state_dir.mkdir(exist_ok=True)
        traits = build_hub_configuration(load(text.encode()), self.paths)
        traits["JupyterHub"] |= {
            "hub_port": self.port,
            "bind_url": f"http://127.0.0.1:{self.port}/",
            "proxy_class": "lone_proxy.LoneProxy",
            "spawner_class": "simple",
            "services": [{"name": "tests", "api_token": TOKEN, "admin": True}],
            "load_roles": [],
        }
        self.adapt(traits)
        (applied / "hub.json").write_bytes(as_json(traits))
        (applied / "jupyterhub_config.d" / "last.py").write_text(drop_in)

    def adapt(self, traits: dict[str, dict[str, object]]) -> None:
        """Change the configuration that is written; for subclasses."""

    def start(self) -> None:
        with (self.directory / "hub.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tljh.hub.process.app"],
                env={
                    **os.environ,
                    "TLJH_APPLIED": str(self.directory / "applied"),
                    "TLJH_INSTALL_PREFIX": str(self.directory),
                    "PYTHONPATH": f"{HERE}:{CHECKOUT}",
                    "NOTIFY_SOCKET": "",
                },
                cwd=self.directory,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.ConnectionError):
                if requests.get(self.url + "/health", timeout=5).ok:
                    return
            if self.process.poll() is not None:
                raise AssertionError(self.log[-4000:])
            time.sleep(0.05)
        raise AssertionError(self.log[-4000:])

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(START_TIMEOUT_S)

    def restart(self, text: str, drop_in: str = "") -> None:
        self.stop()
        self.configure(text, drop_in)
        self.start()

    def api(self, method: str, path: str, **arguments: object) -> requests.Response:
        headers = {"Authorization": f"token {TOKEN}"}
        return requests.request(
            method, f"{self.url}/api/{path}", headers=headers, timeout=30, **arguments
        )


@dataclass
class Browser:
    """A user's browser at an address, with cookies."""

    hub: RunningHub
    address: str = "192.0.2.1"
    is_https: bool = False
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.headers["X-Forwarded-For"] = self.address
        if self.is_https:
            self.session.headers["X-Forwarded-Proto"] = "https"

    def get(self, path: str, **more: object) -> requests.Response:
        return self.session.get(self.hub.url + path, timeout=30, **more)

    def post(self, path: str, page: str | None = None, **fields: str) -> requests.Response:
        """Fill in the form at `page` (default: `path`) and send it."""
        form = self.get(page or path)
        token = self.session.cookies.get("_xsrf") or _xsrf_in(form.text)
        return self.session.post(
            self.hub.url + path,
            data={"_xsrf": token, **fields},
            timeout=60,
            allow_redirects=False,
        )

    def login(self, name: str, password: str, **more: str) -> requests.Response:
        return self.post("/login", username=name, password=password, **more)

    @property
    def name(self) -> str | None:
        """The user that is logged in, by the hub's home page."""
        page = self.get("/home", allow_redirects=False)
        match = re.search(r'user: "([^"]+)"', page.text)
        return match.group(1) if page.ok and match else None


def _xsrf_in(html: str) -> str:
    match = re.search(r'name="_xsrf" value="([^"]*)"', html)
    return match.group(1) if match else ""


@contextlib.contextmanager
def running_hub(
    directory: Path,
    text: str,
    drop_in: str = "",
    prepare: Callable[[RunningHub], None] = lambda hub: None,
) -> Iterator[RunningHub]:
    """Run a hub; `prepare` is called before it starts."""
    hub = RunningHub(directory, free_port())
    hub.configure(text, drop_in)
    prepare(hub)
    hub.start()
    try:
        yield hub
    finally:
        if hub.process is not None and hub.process.poll() is None:
            hub.process.kill()
            hub.process.wait()


def tries(hub: RunningHub) -> list[dict[str, object]]:
    """Return what `tljh auth check` tries with the configuration of this hub."""
    result = subprocess.run(
        [sys.executable, "-m", "tljh.hub.login_trial"],
        env={
            **os.environ,
            "TLJH_APPLIED": str(hub.directory / "applied"),
            "TLJH_INSTALL_PREFIX": str(hub.directory),
            "PYTHONPATH": f"{HERE}:{CHECKOUT}",
        },
        cwd=hub.directory,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return list(json.loads(result.stdout.splitlines()[-1]))
