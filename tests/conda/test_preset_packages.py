"""Packages of presets: installed once, removed with the preset, never what an admin installed."""

from __future__ import annotations

import pytest

from tests.conda.test_pip import BASE, dist_infos, links, pip_install
from tljh.base.errors import TljhError
from tljh.conda import preset_packages, resource
from tljh.conda.environment import RequiredPackage
from tljh.conda.preset_packages import (
    COLLABORATION,
    NBGRADER,
    PresetPackage,
    list_preset_packages,
)
from tljh.settings.load import load

# Serves raft 1.0 and 1.1 as packages of pip.
__all__ = ["links"]

RAFT = PresetPackage("presets.raft.on", RequiredPackage("raft", ">=1.0", at_least="1.0"))


@pytest.fixture(autouse=True)
def checked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Know one preset; record checks, which need a JupyterLab that the channel does not have."""
    checks: list[object] = []
    monkeypatch.setattr(preset_packages, "PRESETS", (RAFT,))
    monkeypatch.setattr(resource, "check_environment", lambda *args: checks.append(args))
    return checks


def test_a_package_is_installed_checked_and_removed_with_its_preset(machine, checked):
    machine.apply(machine.environment(*BASE))
    plan = machine.apply(machine.environment(*BASE, presets=(RAFT,)))
    assert "+ raft 1.1" in plan.as_text()
    assert dist_infos(machine, "raft") == ["raft-1.1.dist-info"]
    assert len(checked) == 1
    assert not machine.plan(machine.environment(*BASE, presets=(RAFT,)))
    plan = machine.apply(machine.environment(*BASE))
    assert "- raft 1.1" in plan.as_text()
    assert dist_infos(machine, "raft") == []
    assert not machine.plan(machine.environment(*BASE))


def test_a_first_install_has_the_packages_of_presets(machine):
    machine.apply(machine.environment(*BASE, presets=(RAFT,)))
    assert dist_infos(machine, "raft") == ["raft-1.1.dist-info"]


def test_what_an_admin_installed_stays_when_the_preset_goes(machine):
    machine.apply(machine.environment(*BASE))
    pip_install(machine, "raft==1.0")
    assert not machine.plan(machine.environment(*BASE, presets=(RAFT,)))
    assert not machine.plan(machine.environment(*BASE))
    assert dist_infos(machine, "raft") == ["raft-1.0.dist-info"]


def test_a_check_that_fails_restores_the_environment(machine, monkeypatch):
    machine.apply(machine.environment(*BASE))
    before = machine.contents()

    def fail(*arguments):
        raise TljhError("the server does not start")

    monkeypatch.setattr(resource, "check_environment", fail)
    with pytest.raises(TljhError, match="does not start"):
        machine.apply(machine.environment(*BASE, presets=(RAFT,)))
    assert machine.contents() == before


def test_an_index_that_is_out_of_reach_fails_the_plan_and_names_the_setting(
    machine, links, monkeypatch
):
    machine.apply(machine.environment(*BASE))
    for wheel in links.iterdir():
        wheel.unlink()
    with pytest.raises(TljhError) as caught:
        machine.plan(machine.environment(*BASE, presets=(RAFT,)))
    (finding,) = caught.value.findings
    assert finding.what == "raft cannot be installed, which presets.raft.on needs"
    assert finding.why and "raft" in finding.why
    assert finding.fix and "sudo tljh-config unset presets.raft.on" in finding.fix


def test_settings_ask_for_the_packages_of_their_preset():
    assert list_preset_packages(load(b"")) == ()
    text = b"{groups: {team: [ann]}, presets: {collaboration: {groups: {team: {}}}}}"
    assert list_preset_packages(load(text)) == (COLLABORATION,)
    courses = b"presets: {nbgrader: {courses: {physics: {instructors: t}}}}"
    config = load(b"users: {extra_user_groups: {t: [ann]}}\n" + courses)
    assert list_preset_packages(config) == (NBGRADER,)
