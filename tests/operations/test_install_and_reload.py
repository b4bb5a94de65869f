"""Requests of an installation, applied on a machine in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.operations.test_converge import (
    ANSWERS,
    PATHS,
    install,
    machine,
    no_conda,  # noqa: F401
)
from tljh.base.errors import Exit, TljhError
from tljh.host.fake import FakeHost
from tljh.operations.installed_config import config_lock


def test_an_installation_holds_the_lock_of_config_yaml_while_it_changes_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = machine()
    install(host)
    lock = config_lock(host, PATHS)
    unlocked: list[str] = []
    effect = FakeHost._record_effect

    def recorded(self: FakeHost, what: str) -> None:
        if lock not in self.locks:
            unlocked.append(what)
        effect(self, what)

    monkeypatch.setattr(FakeHost, "_record_effect", recorded)
    effects = len(host.effects)
    install(host, replace(ANSWERS, admins=("bob",)))
    assert f"write {PATHS.config_file}" in host.effects[effects:]
    assert unlocked == []


def test_an_installation_waits_for_an_edit_of_config_yaml_and_changes_nothing() -> None:
    host = machine()
    install(host)
    before = host.read(PATHS.config_file)
    with host.lock(config_lock(host, PATHS), timeout_s=1), pytest.raises(TljhError) as caught:
        install(host, replace(ANSWERS, admins=("bob",)))
    assert caught.value.exit_code is Exit.LOCKED
    assert host.read(PATHS.config_file) == before
