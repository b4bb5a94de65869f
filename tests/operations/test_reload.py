"""Reload and rollback on a machine in memory: what is left for the admin."""

from __future__ import annotations

import pytest

from tests.operations.test_converge import (
    PATHS,
    install,
    machine,
    no_conda,  # noqa: F401
    reload,
)
from tljh.base.errors import TljhError
from tljh.base.progress import SilentProgress
from tljh.hub.guard import HubGuard
from tljh.operations.hub_environment import EnvironmentRebuild
from tljh.operations.reload import (
    give_advice,
    plan_reload,
    read_history,
    rollback,
    try_reload,
)


def test_a_new_admin_without_a_password_is_reported_with_the_way_to_one() -> None:
    host = machine()
    outcome = install(host)
    assert any("sudo tljh user claim ada" in line for line in give_advice(PATHS, outcome))
    assert give_advice(PATHS, reload(host, b"users: {admin: [ada], allowed: [bob]}\n")) == []


def test_a_rollback_without_a_number_returns_to_the_state_before_the_current() -> None:
    host = machine()
    install(host)
    first = host.read(PATHS.config_file)
    with pytest.raises(TljhError, match="no earlier state"):
        rollback(host, PATHS, None, SilentProgress())
    reload(host, b"users: {admin: [ada]}\nlimits: {memory: 2G}\n")
    applied = rollback(host, PATHS, None, SilentProgress())
    assert applied.number == 3
    assert host.read(PATHS.config_file) == first
    assert [entry.command for entry in read_history(host, PATHS)] == [
        "install",
        "reload",
        "rollback 1",
    ]


def test_pending_edits_are_planned_and_survive_a_rollback_as_a_state() -> None:
    host = machine()
    install(host)
    reload(host, b"users: {admin: [ada]}\nlimits: {memory: 2G}\n")
    pending = b"users: {admin: [ada]}\nlimits: {memory: 4G}\n"
    host.write(PATHS.config_file, pending, mode=0o600)
    assert plan_reload(host, PATHS)
    applied = rollback(host, PATHS, 1, SilentProgress())
    assert applied.kept is not None
    rollback(host, PATHS, applied.kept, SilentProgress())
    assert host.read(PATHS.config_file) == pending


def test_a_check_does_not_try_a_hub_whose_environment_is_built_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = machine()
    install(host)
    lacks = EnvironmentRebuild(
        ("jupyterhub-ltiauthenticator",), ("jupyterhub-ltiauthenticator",), ()
    )
    monkeypatch.setattr("tljh.operations.converge.find_rebuild", lambda *_: lacks)
    refuse = TljhError("the current environment has no such class")
    monkeypatch.setattr(HubGuard, "rehearse", lambda *_: (_ for _ in ()).throw(refuse))
    text = b"users: {admin: [ada]}\nhub: {packages: [jupyterhub-ltiauthenticator]}\nbase_url: /a/\n"
    host.write(PATHS.config_file, text, mode=0o600)
    errors, warnings = try_reload(host, PATHS)
    assert errors == []
    assert "rebuilt with jupyterhub-ltiauthenticator" in warnings[0].what
    monkeypatch.setattr("tljh.operations.converge.find_rebuild", lambda *_: None)
    errors, _ = try_reload(host, PATHS)
    assert [error.what for error in errors] == ["the current environment has no such class"]
