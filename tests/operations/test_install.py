"""An installation on a machine in memory: its lock, and what it prints for the admins."""

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
from tljh.base.progress import SilentProgress
from tljh.commands.install import InstallReport
from tljh.host.fake import FakeHost
from tljh.operations.install import install as install_hub
from tljh.operations.install_answers import Answers
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


def report(answers: Answers) -> str:
    """Return what an installation on a fresh machine prints."""
    return InstallReport(install_hub(machine(), PATHS, answers, SilentProgress())).as_text()


def test_a_new_admin_is_given_a_claim_link() -> None:
    text = report(ANSWERS)
    assert "ada is an admin. Set the password here" in text
    assert "/hub/claim?name=ada&token=" in text


def test_an_admin_who_has_a_password_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tljh.users.facts.read_logins", lambda path: ["ada"])
    text = report(replace(ANSWERS, passwords={"ada": "another-password"}))
    assert "ada keeps the current password" in text
    assert "sudo tljh user reset-password ada" in text
    assert "Set the password here" not in text


@pytest.mark.parametrize(("password", "is_warned"), [("seven-7", True), ("eight-88", False)])
def test_a_short_password_of_an_admin_is_taken_with_a_warning(
    password: str, is_warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The file of passwords has its own tests; it is on a real disk only.
    monkeypatch.setattr("tljh.users.first_passwords.store_hashes", lambda *_: None)
    text = report(replace(ANSWERS, passwords={"ada": password}))
    assert ("has less than 8 characters" in text) == is_warned
    assert password not in text
