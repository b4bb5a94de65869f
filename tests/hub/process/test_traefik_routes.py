"""The hub's routes as Traefik finds them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

pytest.importorskip("jupyterhub_traefik_proxy")
import toml
from tornado.httpclient import HTTPClientError

from tljh.hub.process.traefik_routes import RoutesProxy

OLD = """
[http.routers.router_a]
service = "service_a"
rule = "PathPrefix(`/`)"
entryPoints = ["http"]
[http.services.service_a.loadBalancer]
servers = [{url = "http://127.0.0.1:1"}]
[jupyterhub.routes]
"""


@pytest.fixture(autouse=True)
def loop():
    """Yield an event loop, which JupyterHub's proxy classes need when they are created."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


def proxy(path):
    return RoutesProxy(
        dynamic_config_file=str(path),
        should_start=False,
        traefik_entrypoint="http",
        traefik_api_username="a",
        traefik_api_password="b",
        public_url="http://localhost",
    )


def test_routes_name_no_entry_point_so_that_https_needs_no_new_ones(tmp_path):
    routes, _ = proxy(tmp_path / "rules.toml")._dynamic_config_for_route("/user/a/", "http://b", {})
    (router,) = routes["http"]["routers"].values()
    assert "entryPoints" not in router


@pytest.mark.parametrize(
    ("routespec", "path"),
    [
        ("/user/a%20b/", "/user/a b"),
        ("/user/gr%C3%BCn/", "/user/grün"),
        ("/user/a@b.org/", "/user/a@b.org"),
        ("/user/a%2Bb/", "/user/a%2Bb"),
        ("/user/a%3db/", "/user/a%3db"),
    ],
)
def test_a_rule_names_a_path_as_traefik_compares_it(tmp_path, routespec, path):
    config, _ = proxy(tmp_path / "rules.toml")._dynamic_config_for_route(routespec, "http://b", {})
    (router,) = config["http"]["routers"].values()
    assert router["rule"] == f"( PathPrefix(`{path}/`) || Path(`{path}`) )"


def test_routes_of_an_earlier_configuration_lose_their_entry_points(tmp_path):
    (tmp_path / "rules.toml").write_text(OLD)
    config = proxy(tmp_path / "rules.toml").dynamic_config
    assert config["http"]["routers"] == {
        "router_a": {"service": "service_a", "rule": "PathPrefix(`/`)"}
    }


def test_the_routes_file_is_readable_by_its_owner_and_group_only(tmp_path):
    path = tmp_path / "rules.toml"
    proxy(path).dynamic_config_handler.atomic_dump({"http": {}})
    assert path.stat().st_mode & 0o777 == 0o640
    assert toml.loads(path.read_text()) == {"http": {}}
    assert [entry.name for entry in tmp_path.iterdir()] == ["rules.toml"]


@pytest.mark.parametrize(
    ("loaded", "is_loaded"),
    [
        # Traefik's names with one public entry point, and with HTTPS in addition to it.
        ({"router__2Fuser_2Fa_2F@file"}, True),
        ({"http-router__2Fuser_2Fa_2F@file", "https-router__2Fuser_2Fa_2F@file"}, True),
        ({"router__2F@file"}, False),
        (set(), False),
    ],
)
def test_a_route_is_found_whether_or_not_https_is_on(tmp_path, loop, loaded, is_loaded):
    routes = proxy(tmp_path / "rules.toml")
    routes.traefik_entrypoint = "https"

    async def answer(path):
        if "/routers/" not in path:
            await asyncio.Event().wait()  # requests that the proxy sends by itself at its start
        if path.rpartition("/")[2] not in loaded:
            raise HTTPClientError(404)
        return SimpleNamespace(body=b'{"rule": "Path(`/a`)"}')

    alias = "router__2Fuser_2Fa_2F"
    routes.dynamic_config["http"]["routers"][alias] = {"rule": "Path(`/a`)"}
    routes._traefik_api_request = answer
    result = loop.run_until_complete(routes._check_for_traefik_service("/user/a/", "router"))
    assert result is is_loaded


def test_only_the_hubs_route_falls_back_to_a_page_and_later_during_a_restart(tmp_path, loop):
    path = tmp_path / "rules.toml"
    routes = proxy(path)
    routes.hub = SimpleNamespace(base_url="/hub/")
    for routespec, data in (("/", {"hub": True}), ("/user/a/", {"user": "a"})):
        route = routes._dynamic_config_for_route(routespec, "http://b", data)
        loop.run_until_complete(routes._apply_dynamic_config(*route))
    routes.fall_back_after(60)
    http = toml.loads(path.read_text())["http"]
    assert http["routers"]["router__2F"]["service"] == "service__2F_or_page"
    assert http["services"]["service__2F"]["loadBalancer"]["healthCheck"]["timeout"] == "60s"
    assert http["routers"]["router__2Fuser_2Fa_2F"]["service"] == "service__2Fuser_2Fa_2F"
    assert "healthCheck" not in http["services"]["service__2Fuser_2Fa_2F"]["loadBalancer"]


def test_the_page_of_a_deleted_route_of_the_hub_goes_with_it(tmp_path):
    failover = '[http.services.b_or_page.failover]\nservice = "b"\nfallback = "page"\n'
    (tmp_path / "rules.toml").write_text(OLD + failover)
    assert list(proxy(tmp_path / "rules.toml").dynamic_config["http"]["services"]) == ["service_a"]


def test_the_route_of_a_service_follows_base_url(tmp_path, monkeypatch, loop):
    routes_proxy = proxy(tmp_path / "rules.toml")
    routes_proxy.hub = SimpleNamespace(host="http://127.0.0.1:15001", routespec="/")
    routes_proxy.app = SimpleNamespace(hub=routes_proxy.hub)
    # Not a wait for Traefik.
    routes_proxy._start_future.cancel()
    routes_proxy._start_future = None
    routes = {
        "/lab/services/board/": {
            "routespec": "/lab/services/board/",
            "target": "http://127.0.0.1:9100",
            "data": {"service": "board"},
        },
        "/": {"routespec": "/", "target": routes_proxy.hub.host, "data": {"hub": True}},
    }

    async def get_all_routes():
        return dict(routes)

    async def add_route(routespec, target, data):
        routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(routespec):
        routes.pop(routespec, None)

    for name, function in (
        ("get_all_routes", get_all_routes),
        ("add_route", add_route),
        ("delete_route", delete_route),
    ):
        monkeypatch.setattr(routes_proxy, name, function)
    monkeypatch.setattr(
        routes_proxy, "_dynamic_config_for_route", lambda *_: ({"http": {"routers": {}}}, {})
    )
    server = SimpleNamespace(host="http://127.0.0.1:9100")
    board = SimpleNamespace(name="board", server=server, proxy_spec="/services/board/")
    loop.run_until_complete(routes_proxy.check_routes({}, {"board": board}))
    assert set(routes) == {"/", "/services/board/"}
