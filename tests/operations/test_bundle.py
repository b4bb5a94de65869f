"""What goes into a bundle for another kind of machine than this one."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.tags import cpython_tags
from packaging.utils import parse_wheel_filename

from tljh.base.bundles import Manifest
from tljh.base.errors import Exit, TljhError
from tljh.operations.bundle import read_carried_lock, select_for_target
from tljh.operations.bundle_target import DISTRIBUTIONS, choose_target, list_apt_sources
from tljh.operations.bundle_use import choose_specs

LOCK = """\
alpha==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
tomli==2.0 ; python_version < "3.11" \\
    --hash=sha256:cc
arm==1.0 ; platform_machine == "aarch64" and sys_platform == "linux" \\
    --hash=sha256:dd
"""


def test_the_lock_is_that_of_the_other_python_and_processor():
    lines = select_for_target(LOCK, choose_target("x86_64", "ubuntu22.04")).splitlines()
    assert lines == ["alpha==1.0 --hash=sha256:aa --hash=sha256:bb", "tomli==2.0 --hash=sha256:cc"]
    lines = select_for_target(LOCK, choose_target("arm64", "debian13")).splitlines()
    assert [line.split("==")[0] for line in lines] == ["alpha", "arm"]


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_whole_lock_can_be_read_for_every_distribution(name):
    lock = (Path(__file__).parents[2] / "installer" / "hub.lock").read_text()
    for architecture in ("x86_64", "aarch64"):
        lines = select_for_target(lock, choose_target(architecture, name)).splitlines()
        assert len(lines) > 80
        assert all("--hash=sha256:" in line and ";" not in line for line in lines)


def test_wheels_of_older_systems_run_on_newer_ones():
    target = choose_target("x86_64", "ubuntu24.04")
    tags = set(cpython_tags((3, 12), platforms=target.wheel_platforms))
    for name in (
        "a-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "a-1-cp39-abi3-manylinux_2_39_x86_64.whl",
    ):
        assert parse_wheel_filename(name)[3] & tags
    newer = "a-1-cp312-cp312-manylinux_2_40_x86_64.whl"
    assert not parse_wheel_filename(newer)[3] & tags


def test_a_distribution_may_be_named_in_several_ways():
    for name in ("ubuntu24.04", "Ubuntu 24.04", "noble"):
        assert choose_target("amd64", name).distribution.name == "ubuntu24.04"


@pytest.mark.parametrize(("architecture", "name"), [("riscv64", None), ("x86_64", "fedora40")])
def test_another_kind_of_machine_is_a_usage_error_with_the_choices(architecture, name):
    with pytest.raises(TljhError) as refused:
        choose_target(architecture, name)
    assert refused.value.exit_code == Exit.USAGE
    assert "choose one with" in (refused.value.findings[0].fix or "")


def test_sources_of_another_distribution_are_signed_by_its_keys():
    text = list_apt_sources(choose_target("aarch64", "ubuntu24.04"), None)
    assert "noble-security" in text and "ubuntu-ports" in text
    assert text.count("signed-by=/usr/share/keyrings/ubuntu-archive-keyring.gpg") == 3
    text = list_apt_sources(choose_target("x86_64", "debian13"), "http://mirror.example.org/debian")
    assert "http://mirror.example.org/debian-security trixie-security" in text


def test_the_lock_is_read_from_a_bootstrap_of_a_release(checkout_bootstrap):
    data, lock = checkout_bootstrap
    assert read_carried_lock(data) == lock


def test_a_bootstrap_of_a_checkout_carries_no_lock():
    head = (Path(__file__).parents[2] / "installer" / "bootstrap.py").read_bytes()
    with pytest.raises(TljhError, match="carries no packages"):
        read_carried_lock(head)


@pytest.fixture
def checkout_bootstrap(monkeypatch) -> tuple[bytes, str]:
    checkout = Path(__file__).parents[2]
    monkeypatch.syspath_prepend(str(checkout / "installer"))
    from tljh_installer.release import from_checkout

    payload = from_checkout(checkout)
    return payload.bootstrap(), payload.lock


def manifest(packages=(), pip_packages=()) -> Manifest:
    return Manifest("1", "", "x86_64", "debian12", "2026", {}, packages, pip_packages)


def test_without_names_the_further_packages_of_the_bundle_are_installed():
    bundle = manifest(("scipy",), ("nbgrader",))
    path = Path("/b.tar")
    assert choose_specs(bundle, path, [], is_pip=False) == ["scipy"]
    assert choose_specs(bundle, path, [], is_pip=True) == ["nbgrader"]
    assert choose_specs(bundle, path, ["numpy"], is_pip=False) == ["numpy"]


def test_a_bundle_without_further_packages_says_so():
    with pytest.raises(TljhError, match="without further packages of conda") as refused:
        choose_specs(manifest((), ("nbgrader",)), Path("/b.tar"), [], is_pip=False)
    assert "--pip" in (refused.value.findings[0].fix or "")
