"""Groups that give root: by their names, by sudo's rules, and whom they have as members."""

from __future__ import annotations

from pathlib import Path

import pytest

from tljh.base.errors import TljhError
from tljh.host.fake import FakeHost
from tljh.host.interface import FileInfo
from tljh.host.power_groups import (
    find_power_groups,
    read_memberships,
    read_power_groups,
    refuse_power_groups,
)

KNOWN = (
    *("root", "sudo", "wheel", "docker", "podman", "lxc", "lxd", "incus-admin", "microk8s"),
    *("libvirt", "kvm", "disk", "shadow", "adm", "systemd-journal", "ssl-cert", "staff"),
    *("backup", "vboxusers"),
)


@pytest.mark.parametrize("name", KNOWN)
def test_a_group_that_gives_root_has_a_reason(name: str) -> None:
    assert read_power_groups(FakeHost())[name].split()[0] in ("sudo", "its")


@pytest.mark.parametrize("name", ["video", "render", "audio", "users", "pupils", "dialout"])
def test_a_group_for_devices_or_people_is_none(name: str) -> None:
    assert not find_power_groups([name])


def test_groups_of_sudos_own_rules_give_root_too() -> None:
    host = FakeHost()
    rules = {
        "/etc/sudoers": b"# %no ALL=(ALL) ALL\n%ops ALL=(ALL:ALL) ALL\n",
        "/etc/sudoers.d/staff": b"%helpers ALL=NOPASSWD: /usr/bin/apt\n",
        "/etc/sudoers.d/old.bak": b"%former ALL=(ALL) ALL\n",
    }
    for path, data in rules.items():
        host.files[Path(path)] = (FileInfo("file", 0o440, "root", "root"), data)
    powers = read_power_groups(host)
    assert "/etc/sudoers " in powers["ops"] and "sudoers.d/staff " in powers["helpers"]
    assert "no" not in powers and "former" not in powers
    with pytest.raises(TljhError, match="members of the group helpers can become root"):
        refuse_power_groups(host, ["helpers"], allowed=False)


def test_memberships_on_the_machine_are_found_whoever_made_them() -> None:
    host = FakeHost()
    host.add_group("docker")
    host.add_user("jupyter-ann", home=Path("/home/jupyter-ann"))
    host.add_to_group("jupyter-ann", "docker")
    assert read_memberships(host) == {"jupyter-ann": ("docker",)}
