"""A machine with The Littlest JupyterHub in memory: planned, taken over, killed at each effect."""

from __future__ import annotations

import json

import pytest

from tests.operations.test_converge import ANSWERS, PATHS, machine
from tljh.base.errors import TljhError
from tljh.base.progress import SilentProgress
from tljh.host.fake import FakeHost, Killed
from tljh.operations.converge import converge, work_out
from tljh.operations.install_and_reload import make_install_request
from tljh.operations.uninstall import plan_uninstall, plan_way_back
from tljh.takeover.littlest import find_littlest
from tljh.takeover.routes import convert_routes

SITE = PATHS.hub / "lib/python3.11/site-packages"
OLD_UNIT = b"[Service]\nExecStart=/opt/tljh/hub/bin/python3 -m jupyterhub\n"
ROUTES = b"""
[http.routers.route_api]
rule = "PathPrefix(`/api`)"
entryPoints = [ "auth_api",]
service = "api@internal"
middlewares = [ "auth_api",]
[http.routers.router__2F]
service = "service__2F"
rule = "PathPrefix(`/`)"
[http.routers.router_ann]
service = "service_ann"
rule = "PathPrefix(`/user/ann/`)"
[jupyterhub.routes.router__2F]
routespec = "/"
router = "router__2F"
[jupyterhub.routes.router__2F.data]
hub = true
[jupyterhub.routes.router_ann]
routespec = "/user/ann/"
router = "router_ann"
[jupyterhub.routes.router_ann.data]
user = "ann"
[http.middlewares.auth_api.basicAuth]
users = [ "a:b",]
[http.services.service__2F.loadBalancer]
passHostHeader = true
"""


@pytest.fixture(autouse=True)
def no_conda(monkeypatch):
    """Leave out the user environment: it needs a real disk, and has its own tests."""
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])


def littlest() -> FakeHost:
    """Return a machine on which The Littlest JupyterHub runs."""
    host = machine()
    parents = [path for path in reversed(SITE.parents) if PATHS.hub in (path, *path.parents)]
    for directory in (PATHS.prefix, *parents, SITE, PATHS.config_dir, PATHS.state_dir):
        host.mkdir(directory, mode=0o755)
    host.mkdir(SITE / "the_littlest_jupyterhub-2.0.0.dist-info", mode=0o755)
    host.mkdir(PATHS.rules_dir, mode=0o700)
    host.write(PATHS.rules_dir / "rules.toml", ROUTES, mode=0o600)
    host.write(PATHS.rules_dir / "dynamic.toml", b"", mode=0o600)
    host.write(PATHS.api_secret, b"5" * 64, mode=0o644)
    host.write(PATHS.config_file, b"users:\n  admin: ada\nother: 1\n", mode=0o644)
    for name in ("jupyterhub.service", "traefik.service"):
        host.write(PATHS.units_dir / name, OLD_UNIT, mode=0o644)
        host.systemctl("enable", name)
        host.systemctl("start", name)
    host.effects.clear()
    return host


def take_over(host: FakeHost):
    return converge(host, PATHS, make_install_request(host, PATHS, ANSWERS), SilentProgress())


def effects_of_a_takeover() -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])
        host = littlest()
        take_over(host)
    return len(host.effects)


def test_the_plan_says_what_changes_and_changes_nothing():
    host = littlest()
    before = dict(host.files)
    plan = work_out(host, PATHS, make_install_request(host, PATHS, ANSWERS)).plan
    text = plan.as_text()
    assert "The Littlest JupyterHub 2.0.0 is taken over" in text
    assert "users.admin: a list with ada" in text and "other becomes a comment" in text
    assert host.files == before and host.effects == []


def test_a_takeover_keeps_the_old_hub_for_the_way_back_and_seeds_the_routes():
    host = littlest()
    outcome = take_over(host)
    assert outcome.config.users.admin == ["ada"]
    assert host.readlink(PATHS.hub) == "versions/hub-0123456789ab"
    assert find_littlest(host, PATHS) is None
    moved = PATHS.littlest_hub / SITE.relative_to(PATHS.hub)
    assert host.info(moved / "the_littlest_jupyterhub-2.0.0.dist-info") is not None
    kept = json.loads(host.read(PATHS.littlest_files) or b"")
    assert kept["enabled"] == {"jupyterhub.service": True, "traefik.service": True}
    assert b"router_ann" in (host.read(PATHS.traefik_routes_file) or b"")
    assert take_over(host).number is None


def test_a_takeover_that_fails_leaves_the_old_hub_running():
    host = littlest()
    before = {path: each for path, each in host.files.items() if PATHS.hub in path.parents}
    host.responses.clear()
    with pytest.raises(TljhError):
        take_over(host)
    assert {path: each for path, each in host.files.items() if PATHS.hub in path.parents} == before
    assert host.read(PATHS.units_dir / "jupyterhub.service") == OLD_UNIT
    assert host.read(PATHS.config_file) == b"users:\n  admin: ada\nother: 1\n"
    assert host.info(PATHS.config_file).mode == 0o644
    assert host.unit("jupyterhub.service").is_active and host.unit("traefik.service").is_active
    assert find_littlest(host, PATHS) is not None


# All of them take minutes: those of an installation alone are killed in test_converge.
EFFECTS = [
    pytest.param(number, marks=() if number % 5 == 0 else pytest.mark.long)
    for number in range(effects_of_a_takeover())
]


@pytest.mark.parametrize("number", EFFECTS)
def test_killed_before_any_effect_the_next_run_takes_over(number):
    host = littlest()
    host.die_before = number
    with pytest.raises(Killed):
        take_over(host)
    host.die_before = None
    take_over(host)
    assert take_over(host).number is None
    assert host.readlink(PATHS.hub) == "versions/hub-0123456789ab"
    assert host.unit("jupyterhub.service").is_active


def test_an_uninstall_asks_what_is_to_be_left_and_the_way_back_restores_files():
    host = littlest()
    take_over(host)
    with pytest.raises(TljhError, match="say what is to be left"):
        plan_uninstall(host, PATHS, purge=False)
    resources = [step.resource for step in plan_way_back(host, PATHS).plan.steps]
    assert str(PATHS.jupyter) in {resource.name for resource in resources}
    for resource in resources:
        if resource.kind in ("file-returned", "hub-returned", "littlest-started"):
            resource.apply(host, SilentProgress())
    assert find_littlest(host, PATHS) is not None
    assert host.read(PATHS.units_dir / "jupyterhub.service") == OLD_UNIT
    assert host.read(PATHS.api_secret) == b"5" * 64
    assert host.read(PATHS.config_file) == b"users:\n  admin: ada\nother: 1\n"


def test_a_hub_of_ours_has_no_way_back():
    host = machine()
    converge(host, PATHS, make_install_request(host, PATHS, ANSWERS), SilentProgress())
    with pytest.raises(TljhError, match="was not taken over"):
        plan_way_back(host, PATHS)


def test_routes_of_servers_stay_and_requests_to_the_hub_wait_for_it():
    text = convert_routes(ROUTES).decode()
    assert "route_api" not in text and "basicAuth" not in text
    assert "/user/ann/" in text
    hub = text.partition("[http.routers.router__2F]")[2].partition("[")[2]
    assert "tljh-retry" in text.partition("[http.routers.router__2F]")[2] and hub
    assert convert_routes(b"[broken") == b""
