"""Whether users can work in an environment: imports, requirements of packages, a user's server."""

from __future__ import annotations

import http.server
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tljh.conda.worker import events, pip_changes
from tljh.host.interface import DIES_WITH_US

IMPORTS = ("jupyterhub.singleuser", "jupyter_server", "jupyterlab", "notebook", "ipykernel")

IMPORT_TIMEOUT_S = 120

# A cold start on a busy machine with one core took 20 s.
SERVER_DEADLINE_S = 120

POLL_S = 0.1

# The unprivileged account of every Debian and Ubuntu machine.
ACCOUNT = "nobody"

# From all that a server logs, the end has the reason of a failure.
MAX_LOG_CHARACTERS = 2000


def check(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the problems of an environment, each as `what` and `why`.

    `known` are conflicts that the caller accepts: those from before a change.
    """
    prefix = Path(request["prefix"])
    events.begin_step("checking the environment")
    if failure := _import_modules(prefix, request.get("modules", IMPORTS)):
        return {"problems": [failure]}
    conflicts = pip_changes.find_conflicts(prefix, request["uv"])
    new = [line for line in conflicts if line not in request["known"]]
    if new:
        what = "packages do not fit together"
        return {"problems": [{"what": what, "why": "\n".join(new)}]}
    if not request.get("starts_server", True):
        return {"problems": []}
    events.begin_step("starting a server as an unprivileged user")
    failure = _try_server(prefix)
    return {"problems": [failure] if failure else []}


def list_conflicts(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sentence for each requirement of an installed distribution that is not met."""
    return {"rows": pip_changes.find_conflicts(Path(request["prefix"]), request["uv"])}


def _import_modules(prefix: Path, modules: Sequence[str]) -> dict[str, str] | None:
    """Import the modules that every user's server needs, as an unprivileged user."""
    done = subprocess.run(
        [*_as_user(), str(prefix / "bin" / "python"), "-I", "-B", "-c", _import_program(modules)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=IMPORT_TIMEOUT_S,
        cwd="/",
        env={"PATH": f"{prefix}/bin:/usr/bin:/bin", "HOME": "/nonexistent"},
        check=False,
    )
    if done.returncode == 0:
        return None
    why = _find_message(done.stderr) or f"exit code {done.returncode}"
    return {"what": "a module that users' servers need cannot be imported", "why": why}


def _find_message(traceback: str) -> str:
    """Return the exception at the end of a traceback; its text may have several lines."""
    starts = list(re.finditer(r"^[\w.]+(Error|Exception)\b.*", traceback, re.MULTILINE))
    return traceback[starts[-1].start() :].strip() if starts else traceback.strip()[-500:]


def _import_program(modules: Sequence[str]) -> str:
    return "".join(f"import {module}\n" for module in modules) or "pass"


def _as_user() -> list[str]:
    """Return the words before a command that run it without root's rights."""
    if os.geteuid() != 0:
        return list(DIES_WITH_US)
    account = pwd.getpwnam(ACCOUNT)
    words = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}"]
    # The signal of the parent's death is reset by a change of the account, so it comes last.
    return [*words, "--clear-groups", "--no-new-privs", *DIES_WITH_US]


def _try_server(prefix: Path) -> dict[str, str] | None:
    """Start a single-user server as its hub would, and wait until it answers."""
    program = prefix / "bin" / "jupyterhub-singleuser"
    if not program.exists():
        return {"what": "the environment has no jupyterhub-singleuser", "why": f"no {program}"}
    with _home() as home, _answering_hub() as hub_url, (home / "log").open("w+b") as log:
        port = _find_free_port()
        server = subprocess.Popen(
            [*_as_user(), str(prefix / "bin" / "python"), "-s", str(program)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=home,
            env=_server_environment(prefix, home, hub_url, port),
        )
        try:
            return _wait_for_server(server, f"http://127.0.0.1:{port}/user/check/api", home / "log")
        finally:
            server.kill()
            server.wait()


def _server_environment(prefix: Path, home: Path, hub_url: str, port: int) -> dict[str, str]:
    return {
        "PATH": f"{prefix}/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "JUPYTERHUB_API_TOKEN": "none",
        "JUPYTERHUB_API_URL": f"{hub_url}/hub/api",
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_HOST": "",
        "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-check",
        "JUPYTERHUB_USER": "check",
        "JUPYTERHUB_SERVER_NAME": "",
        "JUPYTERHUB_SERVICE_PREFIX": "/user/check/",
        "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}/user/check/",
        "JUPYTERHUB_OAUTH_CALLBACK_URL": "/user/check/oauth_callback",
        "JUPYTERHUB_OAUTH_SCOPES": '["access:servers!server=check/"]',
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": '["access:servers!server=check/"]',
    }


def _wait_for_server(server: subprocess.Popen[bytes], url: str, log: Path) -> dict[str, str] | None:
    deadline_s = time.monotonic() + SERVER_DEADLINE_S
    what = "the single-user server does not start as an unprivileged user"
    while time.monotonic() < deadline_s:
        if server.poll() is not None:
            return {"what": what, "why": _read_end(log)}
        try:
            with urllib.request.urlopen(url, timeout=5):
                return None
        except urllib.error.HTTPError as error:
            # Any answer but an internal error comes from a server that works.
            if error.code < 500:
                return None
        except OSError:
            pass
        time.sleep(POLL_S)
    return {"what": what, "why": f"no answer in {SERVER_DEADLINE_S} s\n{_read_end(log)}"}


def _read_end(log: Path) -> str:
    return log.read_text(errors="replace")[-MAX_LOG_CHARACTERS:].strip()


@contextmanager
def _home() -> Iterator[Path]:
    """Make a home directory for the account of the check."""
    home = Path(tempfile.mkdtemp(prefix="tljh-check-"))
    try:
        if os.geteuid() == 0:
            account = pwd.getpwnam(ACCOUNT)
            os.chown(home, account.pw_uid, account.pw_gid)
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _answering_hub() -> Iterator[str]:
    """Serve what a starting single-user server asks its hub; yield the URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _HubHandler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class _HubHandler(http.server.BaseHTTPRequestHandler):
    """A hub that has no user, in any version."""

    def do_GET(self) -> None:
        self._answer(json.dumps({"version": ""}).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(b"{}")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass
