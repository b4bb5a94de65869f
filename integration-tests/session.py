"""A user of the hub, over HTTP and web sockets, as a browser would be one."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

import requests
import websocket

START_TIMEOUT_S = 120


@dataclass
class HubUser:
    """Somebody at `url` (with its base path, without a trailing slash), at one of their servers."""

    url: str
    name: str
    server_name: str = ""
    http: requests.Session = field(default_factory=requests.Session)
    # Over HTTPS: a file with the certificate authority to trust.
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
        """The name as JupyterHub writes it in addresses."""
        return quote(self.name, safe="@~")

    def _xsrf(self, path: str) -> str:
        _host, _, rest = self.url.partition("://")[2].partition("/")
        wanted = f"/{rest}{path}" if rest else path
        found = [c.value for c in self.http.cookies if c.name == "_xsrf" and c.path == wanted]
        return str(found[0]) if found else ""

    def login(self, password: str, expected: int = 302) -> requests.Response:
        """Send the login form; the answer to it, not followed."""
        page = self.http.get(f"{self.url}/hub/login")
        assert page.status_code == 200, page.text
        answer = self.http.post(
            f"{self.url}/hub/login",
            data={"username": self.name, "password": password, "_xsrf": self._xsrf("/hub/")},
            allow_redirects=False,
        )
        assert answer.status_code == expected, f"{answer.status_code}: {answer.text[-1500:]}"
        return answer

    def claim(self, link: str, password: str) -> requests.Response:
        """Open a claim link and set the password that it asks for."""
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
        answer = self.hub_api("POST", self._server_api)
        is_there = "already running" in answer.text
        assert answer.status_code in (201, 202) or is_there, f"{answer.status_code}: {answer.text}"
        self.await_server(ready=True, timeout_s=self.start_timeout_s)
        page = self.http.get(f"{self.server}/lab")
        assert page.status_code == 200, page.text[-1500:]

    def await_server(self, *, ready: bool, timeout_s: float = START_TIMEOUT_S) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            answer = self.hub_api("GET", f"/users/{self.quoted}")
            assert answer.status_code == 200, answer.text
            server = answer.json()["servers"].get(self.server_name)
            if bool(server and server["ready"]) == ready and not (server and server["pending"]):
                return
            assert time.monotonic() < deadline, f"server of {self.name}: {server}"
            time.sleep(0.2)

    def stop_server(self) -> None:
        assert self.hub_api("DELETE", self._server_api).status_code in (202, 204)
        self.await_server(ready=False)

    def api(self, method: str, path: str, **options) -> requests.Response:
        """Ask the user's own server."""
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
        answer = self.api("POST", "/kernels", json={"name": "python3"})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def execute(self, code: str, kernel: str | None = None) -> str:
        """Run code in a kernel; what it printed or returned, as text."""
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
        """Run a command in a new terminal; everything shown up to the end mark."""
        answer = self.api("POST", "/terminals")
        assert answer.status_code == 200, answer.text
        name = answer.json()["name"]
        shell = self.socket(f"/terminals/websocket/{name}")
        shown = ""
        try:
            # The mark is put together by the shell, so that its echo does not count.
            shell.send(json.dumps(["stdin", f"{command}; echo the-'end'-$?\n"]))
            deadline = time.monotonic() + 60
            while "the-end-" not in shown:
                assert time.monotonic() < deadline, shown
                kind, *rest = json.loads(shell.recv())
                shown += rest[0] if kind == "stdout" else ""
            return shown
        finally:
            shell.close()
            self.api("DELETE", f"/terminals/{name}")


def claim_path(machine, name: str) -> str:
    """The path of a claim link: a machine may know itself by another address than we do."""
    link = json.loads(machine.run(f"tljh user claim {name} --json").stdout)["link"]
    return "/hub/" + str(link).partition("/hub/")[2]


def claimed(machine, url: str, name: str, password: str) -> HubUser:
    """Somebody whose password was set through a claim link; not logged in yet."""
    user = HubUser(url, name)
    answer = user.claim(url + claim_path(machine, name), password)
    assert answer.status_code == 302, answer.text[-1500:]
    return user


def execute_on(channel: websocket.WebSocket, code: str, session: str) -> str:
    """Send an execute request on an open kernel channel and collect its output."""
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
        answer = json.loads(channel.recv())
        if answer["parent_header"].get("msg_id") != message:
            continue
        content = answer["content"]
        if answer["msg_type"] == "stream":
            text += content["text"]
        elif answer["msg_type"] == "execute_result":
            text += content["data"]["text/plain"]
        elif answer["msg_type"] == "error":
            raise AssertionError("\n".join(content["traceback"]))
        elif answer["msg_type"] == "status" and content["execution_state"] == "idle":
            return text
    raise AssertionError(f"no end of execution; so far: {text}")
