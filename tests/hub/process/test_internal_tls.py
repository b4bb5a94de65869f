"""internal_ssl in the hub process: one port for TLS and plain HTTP, and routes of both kinds."""

from __future__ import annotations

import asyncio
import grp
import http.client
import os
import pwd
import socket
import ssl
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("jupyterhub_traefik_proxy")
import certipy
import toml
from tornado.web import Application, RequestHandler

from tests.hub.process.running import free_port
from tests.hub.process.test_traefik_routes import loop as loop
from tests.hub.process.test_traefik_routes import proxy
from tljh.base.paths import Paths
from tljh.certificates.internal_authorities import AUTHORITIES, HUB, PROXY_CLIENT
from tljh.host import hub_identity, real
from tljh.host.loopback_probe import answers
from tljh.host.real import RealHost
from tljh.hub.process import app, traefik_routes
from tljh.hub.process.internal_tls import is_plain_needed, list_hub_names, write_server_pair
from tljh.hub.served_protocols import list_servers


@pytest.fixture
def paths(tmp_path, monkeypatch):
    """Return paths with the certificates that a hub has after its first start."""
    paths = Paths(prefix=tmp_path / "tljh", traefik_dir=tmp_path / "traefik")
    records = certipy.Certipy(store_dir=str(paths.internal_ssl))
    for name in AUTHORITIES:
        records.create_ca(name)
    for name, authority in ((HUB, "hub-ca"), (PROXY_CLIENT, "proxy-client-ca")):
        records.create_signed_pair(name, authority, alt_names=["IP:127.0.0.1"])
    paths.traefik_internal.mkdir(parents=True)
    paths.traefik_dynamic.mkdir()
    monkeypatch.setattr(traefik_routes, "get_paths", lambda: paths)
    return paths


class Hello(RequestHandler):
    def get(self) -> None:
        self.write("hello")


def make_context(paths, purpose, name):
    context = ssl.create_default_context(
        purpose, cafile=str(paths.internal_ssl / "hub-ca" / "hub-ca.crt")
    )
    context.load_cert_chain(
        paths.internal_ssl / name / f"{name}.crt", paths.internal_ssl / name / f"{name}.key"
    )
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
def port(paths, monkeypatch):
    """Yield a function that serves at a port which accepts plain HTTP or not."""
    monkeypatch.setattr(app, "take_sockets", list)
    monkeypatch.setattr(app, "store_socket", lambda *_: None)
    stops = []

    def serve(*, accepts_plain):
        number, serving = free_port(), threading.Event()

        async def run():
            stop = asyncio.Event()
            stops.append((asyncio.get_running_loop(), stop))
            pages = Application([("/", Hello)], app=SimpleNamespace(accepts_plain=accepts_plain))
            context = make_context(paths, ssl.Purpose.CLIENT_AUTH, HUB)
            server = app.InheritedServer(pages, ssl_options=context)
            server.listen(number, "127.0.0.1")
            serving.set()
            await stop.wait()
            server.stop()

        monkeypatch.setattr(app, "limit_body", lambda *_: None)
        threads.append(threading.Thread(target=asyncio.run, args=(run(),)))
        threads[-1].start()
        assert serving.wait(10)
        return number

    threads: list[threading.Thread] = []
    yield serve
    for event_loop, stop in stops:
        event_loop.call_soon_threadsafe(stop.set)
    for thread in threads:
        thread.join(10)


def ask(connection):
    connection.request("GET", "/")
    return connection.getresponse().read()


def ask_with_tls(paths, port):
    context = make_context(paths, ssl.Purpose.SERVER_AUTH, HUB)
    return ask(http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context))


def test_while_a_server_of_before_runs_the_port_answers_both(paths, port):
    number = port(accepts_plain=lambda: True)
    assert ask(http.client.HTTPConnection("127.0.0.1", number, timeout=10)) == b"hello"
    assert ask_with_tls(paths, number) == b"hello"


def test_once_none_runs_only_tls_is_answered(paths, port):
    number = port(accepts_plain=lambda: False)
    assert ask_with_tls(paths, number) == b"hello"
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(http.client.HTTPConnection("127.0.0.1", number, timeout=10))


def test_a_connection_that_sends_nothing_does_not_hold_up_others(paths, port):
    number = port(accepts_plain=lambda: True)
    with socket.create_connection(("127.0.0.1", number)):
        assert ask_with_tls(paths, number) == b"hello"


def test_a_client_without_a_certificate_is_refused(paths, port):
    number = port(accepts_plain=lambda: True)
    context = ssl.create_default_context(cafile=str(paths.internal_ssl / "hub-ca" / "hub-ca.crt"))
    with pytest.raises(OSError):
        ask(http.client.HTTPSConnection("127.0.0.1", number, timeout=10, context=context))


def test_commands_reach_a_port_that_answers_tls_only(paths, port, monkeypatch):
    number = port(accepts_plain=lambda: False)
    url = f"http://127.0.0.1:{number}/"
    monkeypatch.setattr(hub_identity, "HUB_ORIGIN", url)
    monkeypatch.setattr(real, "get_paths", lambda: paths)
    assert RealHost().http("GET", url).status == 0
    assert not answers(url, 5, paths)
    paths.applied.directory.mkdir(parents=True)
    paths.applied.hub_file.write_text('{"JupyterHub": {"internal_ssl": true}}')
    # Callers that check no certificate of a public port check the hub's even so.
    assert RealHost().http("GET", url, verify=False).text == "hello"
    assert answers(url, 5, paths)


def spawner(proto, *, active=True):
    return SimpleNamespace(server=SimpleNamespace(proto=proto) if proto else None, active=active)


@pytest.mark.parametrize(
    ("spawners", "is_needed"),
    [
        ([], False),
        ([spawner("https")], False),
        ([spawner(None), spawner("http", active=False)], False),
        ([spawner("https"), spawner("http")], True),
    ],
)
def test_plain_http_ends_with_the_last_server_of_before(spawners, is_needed):
    assert is_plain_needed(spawners) is is_needed


def test_the_hubs_certificate_has_each_address_at_which_servers_reach_it():
    hub = SimpleNamespace(
        hub_ip="", hub_connect_ip="10.0.0.1", hub_connect_url="https://hub.lan:15001"
    )
    assert list_hub_names(hub) == ["10.0.0.1", "127.0.0.1", "hub.lan", "localhost"]


def test_the_key_of_a_server_is_in_its_own_directory(paths, tmp_path):
    owner = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    variables = write_server_pair(
        RealHost(), paths.internal_ssl, tmp_path, ["a.server.internal"], owner
    )
    assert {Path(path).parent for path in variables.values()} == {tmp_path}
    assert set(variables) == {
        "JUPYTERHUB_SSL_KEYFILE",
        "JUPYTERHUB_SSL_CERTFILE",
        "JUPYTERHUB_SSL_CLIENT_CA",
    }


@pytest.fixture
def routes(paths, loop):
    """Return a proxy whose hub has certificates, with the route of a server of each kind."""
    routes = proxy(paths.traefik_routes_file)
    routes.app = SimpleNamespace(
        has_tls=True, hub=SimpleNamespace(routespec="/x"), base_url="/", http_server=None
    )
    routes.hub = SimpleNamespace(base_url="/hub/")
    for routespec, target, data in (
        ("/", "https://127.0.0.1:15001", {"hub": True}),
        ("/user/ann/", "http://127.0.0.1:1", {"user": "ann"}),
        ("/user/bob/", "https://127.0.0.1:2", {"user": "bob"}),
        ("/docs/", "https://elsewhere", {"hub": True, "extra": True}),
    ):
        route = routes._dynamic_config_for_route(routespec, target, data)
        loop.run_until_complete(routes._apply_dynamic_config(*route))
    return routes


def test_each_route_has_the_transport_of_what_it_leads_to(routes, paths):
    http_part = toml.loads(paths.traefik_routes_file.read_text())["http"]
    transports = {
        name: service["loadBalancer"].get("serversTransport")
        for name, service in http_part["services"].items()
        if "loadBalancer" in service
    }
    assert transports == {
        "service__2F": "tljh-hub-tls",
        "service__2Fuser_2Fann_2F": None,
        "service__2Fuser_2Fbob_2F": "service__2Fuser_2Fbob_2F_tls",
        "service__2Fdocs_2F": None,
    }
    bob = http_part["serversTransports"]["service__2Fuser_2Fbob_2F_tls"]
    assert bob["serverName"].endswith(".server.internal")
    assert bob["rootCAs"] != http_part["serversTransports"]["tljh-hub-tls"]["rootCAs"]
    key = bob["certificates"][0]["keyFile"]
    assert Path(key).stat().st_mode & 0o777 == 0o640


def test_status_knows_which_servers_are_of_before(routes, paths, monkeypatch):
    host = SimpleNamespace(read=lambda path: path.read_bytes())
    assert list_servers(host, paths, "http") == ["ann"]
    assert list_servers(host, paths, "https") == ["bob"]


def test_what_no_route_uses_goes(routes, paths, loop):
    (paths.traefik_internal / "old.key").write_text("of a certificate before a renewal")
    keys, _ = routes._keys_for_route("/user/bob/")
    loop.run_until_complete(routes._delete_dynamic_config(keys, ()))
    route = routes._dynamic_config_for_route("/", "http://127.0.0.1:15001", {"hub": True})
    loop.run_until_complete(routes._apply_dynamic_config(*route))
    balancer = routes.dynamic_config["http"]["services"]["service__2F"]["loadBalancer"]
    assert balancer["serversTransport"] == "tljh-hub"
    routes.remove_unused_transports()
    assert routes.dynamic_config["http"]["serversTransports"] == {}
    assert not (paths.traefik_internal / "old.key").exists()
    assert len(list(paths.traefik_internal.iterdir())) == 4


def test_without_internal_ssl_no_route_has_a_transport_of_its_own(routes):
    plain = proxy(routes.dynamic_config_file)
    plain.app = SimpleNamespace(
        has_tls=False, hub=SimpleNamespace(routespec="/x"), base_url="/", http_server=None
    )
    config, _ = plain._dynamic_config_for_route("/user/a/", "http://b", {"user": "a"})
    assert "serversTransports" not in config["http"]
