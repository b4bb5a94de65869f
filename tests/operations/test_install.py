"""An installation on a machine in memory: its lock, and what it prints for the admins."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pluggy
import pytest

from tests.operations.test_converge import (
    ANSWERS,
    ENVIRONMENT,
    PATHS,
    add_plugin,
    install,
    machine,
    no_conda,  # noqa: F401
)
from tljh.base.errors import Exit, TljhError
from tljh.base.progress import SilentProgress
from tljh.commands.install import InstallReport
from tljh.host.fake import FakeHost
from tljh.operations.install import install as install_hub
from tljh.operations.install_answers import InstallAnswers
from tljh.operations.installed_config import get_config_lock
from tljh.plugins import hookspecs
from tljh.users.claims import Claim, claim_file, read_claim


def test_an_installation_holds_the_lock_of_config_yaml_while_it_changes_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = machine()
    install(host)
    lock = get_config_lock(host, PATHS)
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
    with host.lock(get_config_lock(host, PATHS), timeout_s=1), pytest.raises(TljhError) as caught:
        install(host, replace(ANSWERS, admins=("bob",)))
    assert caught.value.exit_code is Exit.LOCKED
    assert host.read(PATHS.config_file) == before


def report(answers: InstallAnswers) -> str:
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


CODE = "k3v9-Qz81_mNw7-ttpo2"


def claim_of_ada(host: FakeHost) -> Claim:
    claim = read_claim(host.read(claim_file(PATHS.claims_dir, "ada")) or b"")
    assert claim is not None
    return claim


def test_a_claim_code_of_the_admin_opens_the_claim_and_is_not_printed() -> None:
    host = machine()
    answers = replace(ANSWERS, claim_code=CODE)
    text = InstallReport(install_hub(host, PATHS, answers, SilentProgress())).as_text()
    assert claim_of_ada(host).token == CODE
    assert CODE not in text
    assert "with the claim code:" in text
    assert "/hub/claim?name=ada\n" in text


def test_the_same_claim_code_again_changes_nothing_and_another_one_replaces_it() -> None:
    host = machine()
    answers = replace(ANSWERS, claim_code=CODE)
    install(host, answers)
    assert not install_hub(host, PATHS, answers, SilentProgress()).is_changed
    install(host, replace(ANSWERS, claim_code="another-code-0123456"))
    assert claim_of_ada(host).token == "another-code-0123456"
    assert not install_hub(host, PATHS, ANSWERS, SilentProgress()).is_changed


def test_a_claim_code_is_refused_where_the_hub_keeps_no_passwords() -> None:
    host = machine()
    install(host)
    host.write(PATHS.config_file, b"auth:\n  type: pam\nusers:\n  admin: [ada]\n", mode=0o600)
    with pytest.raises(TljhError, match=r"a claim code was given, but auth\.type is pam"):
        install(host, replace(ANSWERS, claim_code=CODE))


def test_a_drop_in_that_a_plugin_writes_after_the_apply_is_applied_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = machine()
    drop_in = PATHS.hub_drop_ins / "course.py"

    add_plugin(host, ENVIRONMENT)

    def write_drop_in() -> None:
        host.write(drop_in, b"c.JupyterHub.x = 1\n", mode=0o600)

    manager = pluggy.PluginManager("tljh")
    manager.add_hookspecs(hookspecs)
    plugin = SimpleNamespace(tljh_post_install=hookspecs.hookimpl(write_drop_in))
    manager.register(plugin, "course")
    monkeypatch.setattr("tljh.plugins.post_install.load_installed_plugins", lambda: manager)
    monkeypatch.setattr("tljh.operations.install_and_reload.list_plugins", lambda: ["course"])
    install_hub(host, PATHS, ANSWERS, SilentProgress())
    assert host.read(PATHS.applied.drop_ins / "course.py") == b"c.JupyterHub.x = 1\n"
    effects = len(host.effects)
    install_hub(host, PATHS, ANSWERS, SilentProgress())
    assert not [each for each in host.effects[effects:] if "course" in each]
