"""Rotation of secrets: the named ones are new everywhere, the others stay."""

from __future__ import annotations

import pytest
from jupyterhub import orm, roles

from tests.operations.test_converge import PATHS, install, machine
from tljh.base.errors import TljhError
from tljh.base.progress import SilentProgress
from tljh.commands.rotate import rotate as rotate_command
from tljh.host.fake import FakeHost
from tljh.hub.process.service_tokens import remove_stale_tokens
from tljh.operations.rotation import SECRETS, choose_secrets, plan_rotation, rotate


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_: [])
    host = machine()
    install(host)
    return host


def read_all(host: FakeHost) -> dict[str, bytes | None]:
    return {secret.name: host.read(secret.file(PATHS)) for secret in SECRETS}


@pytest.mark.parametrize("name", ["cookie", "api", "traefik", "metrics"])
def test_one_secret_is_replaced_and_the_hub_restarts(host, name):
    before = read_all(host)
    since = len(host.effects)
    plan_rotation(host, PATHS, choose_secrets(name))
    assert read_all(host) == before
    rotate(host, PATHS, choose_secrets(name), SilentProgress())
    after = read_all(host)
    assert {each for each in after if after[each] != before[each]} == {name}
    assert any("restart jupyterhub" in effect for effect in host.effects[since:])


def test_traefik_gets_the_hash_of_the_new_password(host):
    before = host.read(PATHS.traefik_own_file)
    rotate(host, PATHS, choose_secrets("traefik"), SilentProgress())
    assert host.read(PATHS.traefik_own_file) != before


def test_all_are_replaced_at_once(host):
    before = read_all(host)
    rotate(host, PATHS, choose_secrets("all"), SilentProgress())
    after = read_all(host)
    assert all(after[name] != before[name] for name in before if before[name])


def test_an_unknown_name_is_refused_with_the_names():
    with pytest.raises(TljhError, match="there is no secret hub-crypt"):
        rotate_command("hub-crypt")


def test_the_hub_forgets_earlier_tokens_of_its_services_and_no_other():
    db = orm.new_session_factory("sqlite:///:memory:")()
    for role in roles.get_default_roles():
        roles.create_role(db, role)
    # The client of tokens that JupyterHub itself gives.
    db.add(orm.OAuthClient(identifier="jupyterhub"))
    db.commit()
    for name in ("tljh", "tljh-metrics", "others"):
        service = orm.Service(name=name)
        db.add(service)
        db.commit()
        for token in ("old", "new"):
            service.new_api_token(f"{name}-{token}-0123456789", note="from config")
    tokens = {f"{name}-new-0123456789": name for name in ("tljh", "tljh-metrics")}
    assert remove_stale_tokens(db, tokens) == 2
    for name, token, is_valid in (
        ("tljh", "old", False),
        ("tljh", "new", True),
        ("tljh-metrics", "old", False),
        ("tljh-metrics", "new", True),
        ("others", "old", True),
    ):
        assert bool(orm.APIToken.find(db, f"{name}-{token}-0123456789")) is is_valid
