"""A user of the hub, over HTTP and web sockets as a browser uses it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

import requests
import websocket

# A restart of the hub, which asks systemd for its servers then, takes less.
FAILED_AFTER_S = 15
START_TIMEOUT_S = 120


@dataclass
class HubUser:
    """A user at `url` (with the base path, without a trailing slash), with one of its servers."""

    url: str
    name: str
    server_name: str = ""
    http: requests.Session = field(default_factory=requests.Session)
    # For HTTPS: a file with the certificate authority to trust.
    verify: bool | str = True
    start_timeout_s: float = START_TIMEOUT_S

    def __post_init__(self) -> None:
        self.http.trust_env = False
        self.http.verify = self.verify

    @property
    def server(self) -> str:
        return f"{self.url}{self._path}"

    @property
    def _path(self) -> str:
        named = f"/{self.server_name}" if self.server_name else ""
        return f"/user/{self.quoted}{named}"

    @property
    def _server_api(self) -> str:
        named = f"/servers/{self.server_name}" if self.server_name else "/server"
        return f"/users/{self.quoted}{named}"

    @property
    def quoted(self) -> str:
        """The name as JupyterHub writes it in URLs."""
        return quote(self.name, safe="@~")

    def _xsrf(self, path: str) -> str:
        _host, _, rest = self.url.partition("://")[2].partition("/")
        # The hub and each server have a cookie of this name; its path tells them apart.
        cookie_path = f"/{rest}{path}" if rest else path
        cookies = [c for c in self.http.cookies if c.name == "_xsrf" and c.path == cookie_path]
        return str(cookies[0].value) if cookies else ""

    def login(self, password: str, expected: int = 302) -> requests.Response:
        """Send the login form and return the response, without following a redirect."""
        page = self.http.get(f"{self.url}/hub/login")
        assert page.status_code == 200, page.text
        response = self.http.post(
            f"{self.url}/hub/login",
            data={"username": self.name, "password": password, "_xsrf": self._xsrf("/hub/")},
            allow_redirects=False,
        )
        assert response.status_code == expected, f"{response.status_code}: {response.text[-1500:]}"
        return response

    def claim(self, link: str, password: str) -> requests.Response:
        """Open a claim link and set the password."""
        page = self.http.get(link)
        assert page.status_code == 200, page.text
        query = dict(part.split("=", 1) for part in link.partition("?")[2].split("&"))
        return self.http.post(
            link.partition("?")[0],
            data={
                "name": query["name"],
                "token": query["token"],
                "password": password,
                "again": password,
                "_xsrf": self._xsrf("/hub/"),
            },
            allow_redirects=False,
        )

    def hub_api(self, method: str, path: str, **options) -> requests.Response:
        return self.http.request(
            method,
            f"{self.url}/hub/api{path}",
            headers={"X-XSRFToken": self._xsrf("/hub/"), "Referer": f"{self.url}/hub/home"},
            **options,
        )

    def start_server(self) -> None:
        """Start the server and wait until it is ready, then log in to it."""
        response = self.hub_api("POST", self._server_api)
        is_running = "already running" in response.text
        assert response.status_code in (201, 202) or is_running, (
            f"{response.status_code}: {response.text}"
        )
        self.await_server(ready=True, timeout_s=self.start_timeout_s, was_asked=True)
        page = self.http.get(f"{self.server}/lab")
        assert page.status_code == 200, page.text[-1500:]

    def await_server(
        self, *, ready: bool, timeout_s: float = START_TIMEOUT_S, was_asked: bool = False
    ) -> None:
        """Wait for the server; for one whose start `was_asked`, only until the start has failed."""
        deadline = time.monotonic() + timeout_s
        last_seen = time.monotonic()
        while True:
            response = self.hub_api("GET", f"/users/{self.quoted}")
            assert response.status_code == 200, response.text
            server = response.json()["servers"].get(self.server_name)
            if bool(server and server["ready"]) == ready and not (server and server["pending"]):
                return
            assert time.monotonic() < deadline, f"server of {self.name}: {server}"
            if server and server["pending"]:
                last_seen = time.monotonic()
            is_starting = time.monotonic() < last_seen + FAILED_AFTER_S
            assert is_starting or not was_asked, f"the server of {self.name} did not start"
            time.sleep(0.2)

    def stop_server(self, timeout_s: float = START_TIMEOUT_S) -> None:
        assert self.hub_api("DELETE", self._server_api).status_code in (202, 204)
        self.await_server(ready=False, timeout_s=timeout_s)

    def api(self, method: str, path: str, **options) -> requests.Response:
        """Send a request to the API of the user's own server."""
        return self.http.request(
            method,
            f"{self.server}/api{path}",
            headers={"X-XSRFToken": self._xsrf(f"{self._path}/")},
            **options,
        )

    def socket(self, path: str) -> websocket.WebSocket:
        cookies = "; ".join(f"{c.name}={c.value}" for c in self.http.cookies)
        return websocket.create_connection(
            self.server.replace("http", "ws", 1) + path,
            cookie=cookies,
            origin=self.url.partition("/hub")[0],
            timeout=60,
            sslopt={"ca_certs": self.verify} if isinstance(self.verify, str) else None,
        )

    def start_kernel(self) -> str:
        response = self.api("POST", "/kernels", json={"name": "python3"})
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def execute(self, code: str, kernel: str | None = None) -> str:
        """Run code in a kernel and return its output and its result, as text."""
        kernel = kernel or self.start_kernel()
        session = uuid.uuid4().hex
        channel = self.socket(
            f"/api/kernels/{kernel}/channels?" + urlencode({"session_id": session})
        )
        try:
            return execute_on(channel, code, session)
        finally:
            channel.close()

    def terminal(self, command: str) -> str:
        """Run a command in a new terminal; return its output, which ends with `the-end-CODE`."""
        response = self.api("POST", "/terminals")
        assert response.status_code == 200, response.text
        name = response.json()["name"]
        shell = self.socket(f"/terminals/websocket/{name}")
        output = ""
        try:
            # The terminal echoes the command. The shell joins the two parts of the end mark, so
            # that the echo does not contain it.
            shell.send(json.dumps(["stdin", f"{command}; echo the-'end'-$?\n"]))
            deadline = time.monotonic() + 60
            while "the-end-" not in output:
                assert time.monotonic() < deadline, output
                kind, *rest = json.loads(shell.recv())
                output += rest[0] if kind == "stdout" else ""
            return output
        finally:
            shell.close()
            self.api("DELETE", f"/terminals/{name}")


def claim_path(machine, name: str) -> str:
    """Make a claim link and return its path: this computer may not reach the link's host."""
    link = json.loads(machine.run(f"tljh user claim {name} --json").stdout)["link"]
    return "/hub/" + str(link).partition("/hub/")[2]


def claim_account(machine, url: str, name: str, password: str) -> HubUser:
    """Set a user's password through a claim link; the user is not logged in yet."""
    user = HubUser(url, name)
    response = user.claim(url + claim_path(machine, name), password)
    assert response.status_code == 302, response.text[-1500:]
    return user


def import_users(machine, names: Iterable[str], password: str) -> None:
    """Add users with a password to the hub."""
    lines = "".join(f"{name},{password}\n" for name in names)
    machine.run("tljh user import -", input=f"name,password\n{lines}", timeout_s=180)


def execute_on(channel: websocket.WebSocket, code: str, session: str) -> str:
    """Send an execute request on a kernel's web socket and collect its output."""
    message = uuid.uuid4().hex
    request = {
        "header": {
            "msg_id": message,
            "username": "",
            "session": session,
            "msg_type": "execute_request",
            "version": "5.3",
        },
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "silent": False, "allow_stdin": False},
        "channel": "shell",
    }
    channel.send(json.dumps(request))
    text = ""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        reply = json.loads(channel.recv())
        if reply["parent_header"].get("msg_id") != message:
            continue
        content = reply["content"]
        if reply["msg_type"] == "stream":
            text += content["text"]
        elif reply["msg_type"] == "execute_result":
            text += content["data"]["text/plain"]
        elif reply["msg_type"] == "error":
            raise AssertionError("\n".join(content["traceback"]))
        elif reply["msg_type"] == "status" and content["execution_state"] == "idle":
            return text
    raise AssertionError(f"the execution did not end within 60 s; so far: {text}")
