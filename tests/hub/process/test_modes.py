"""The hub's modes behind a real Traefik: which addresses it serves, and which others get."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from tests.hub.process.routed import RoutedHub, routed_hub

START_TIMEOUT_S = 30


class Program(BaseHTTPRequestHandler):
    """A launcher: it answers every path with the path."""

    def do_GET(self) -> None:
        body = f"launcher {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def program() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Program)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def await_answer(url: str, status: int, text: str = "") -> requests.Response:
    """Wait until Traefik has loaded the route."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        answer = requests.get(url, timeout=10, allow_redirects=False)
        if answer.status_code == status and text in answer.text:
            return answer
        assert time.monotonic() < deadline, (answer.status_code, answer.text[:500])
        time.sleep(0.05)


@pytest.fixture(scope="module")
def api_only(tmp_path_factory: pytest.TempPathFactory, program: str) -> Iterator[RoutedHub]:
    text = (
        "auth: {type: 'null'}\n"
        "hub: {mode: api-only}\n"
        f"proxy: {{extra_routes: {{/: '{program}', /portal: '{program}'}}}}\n"
    )
    with routed_hub(tmp_path_factory.mktemp("hub"), text) as hub:
        yield hub


def test_api_only_serves_the_api_and_nothing_else_of_the_hub(api_only: RoutedHub) -> None:
    await_answer(f"{api_only.site}/hub/api/health", 200)
    for path in ("/", "/hub/login", "/hub/home", "/user/ann/lab?x=1", "/portal/a%20b"):
        await_answer(api_only.site + path, 200, f"launcher {path}")
    refused = requests.get(f"{api_only.site}/hub/api/users", timeout=10)
    assert refused.status_code == 403


def test_server_of_an_api_only_hub_is_reached_by_its_token(api_only: RoutedHub) -> None:
    assert api_only.api("POST", "users/ann").status_code == 201
    api_only.await_server("ann")
    try:
        answer = await_answer(f"{api_only.site}/user/ann/", 200)
        assert "launcher" not in answer.text
    finally:
        api_only.api("DELETE", "users/ann/server")


def test_pages_below_hub_only(program: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    text = (
        "auth: {type: dummy}\n"
        "hub: {mode: no-pages-at-root}\n"
        f"proxy: {{extra_routes: {{/: '{program}'}}}}\n"
    )
    with routed_hub(tmp_path_factory.mktemp("hub"), text) as hub:
        await_answer(f"{hub.site}/hub/login", 200, "Sign in")
        for path in ("/", "/user/ann/lab"):
            await_answer(hub.site + path, 200, f"launcher {path}")


def test_a_program_in_the_hubs_place_is_not_asked_for_the_hubs_health(
    program: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # It would answer 404, and Traefik would serve the page of a hub that is away in its place.
    with routed_hub(tmp_path_factory.mktemp("hub"), "auth: {type: dummy}\n") as hub:
        await_answer(f"{hub.site}/hub/login", 200)
        hub.restart(
            "auth: {type: dummy}\n"
            "hub: {mode: api-only}\n"
            f"proxy: {{extra_routes: {{/: '{program}'}}}}\n"
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while program not in (routes := hub.paths.traefik_routes_file.read_text()):
            assert time.monotonic() < deadline, routes
            time.sleep(0.05)
        assert routes.count("healthCheck]") == 1, routes  # the hub's
        # Traefik may still have the earlier file, by which a request waits for the hub.
        with contextlib.suppress(requests.Timeout):
            requests.get(f"{hub.site}/x", timeout=10)
        await_answer(f"{hub.site}/x", 200, "launcher /x")
