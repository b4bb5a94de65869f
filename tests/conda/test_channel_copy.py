"""A part of a channel in a directory, made by the real worker, and installed from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tljh.base.errors import TljhError
from tljh.base.progress import SilentProgress
from tljh.conda.channel_copy import ChannelCopy, copy_channel
from tljh.conda.environment import RequiredPackage
from tljh.host.real import RealHost
from tljh.operations.bundle_target import choose_target

TARGET = choose_target("x86_64", "debian12")


def copy_to(
    directory: Path, machine, *specs: str, platform: str = "linux-64", name: str = "boat"
) -> int:
    required = (RequiredPackage(name),)
    copy = ChannelCopy(machine.channels, required, specs, platform, TARGET.virtual_packages)
    return copy_channel(RealHost(), machine.paths, copy, directory, SilentProgress())


def test_the_copy_has_what_is_needed_and_installs_the_same(machine, make_machine, tmp_path):
    directory = tmp_path / "part"
    assert copy_to(directory, machine) == 2
    listed = {
        name
        for path in directory.glob("*/repodata.json")
        for table in ("packages", "packages.conda")
        for name in json.loads(path.read_text())[table]
    }
    assert listed == {path.name for path in directory.rglob("*.conda")}
    other = make_machine([directory])
    other.apply(other.environment("boat"))
    assert other.installed() == {"boat": "2.0", "river": "2.0"}


def test_a_platform_that_the_channel_lacks_is_named(machine, tmp_path):
    with pytest.raises(TljhError, match="linux-aarch64") as refused:
        copy_to(tmp_path / "part", machine, platform="linux-aarch64", name="barge")
    assert str(machine.channels[0]) in str(refused.value)


def test_a_further_package_that_no_channel_has_is_named(machine, tmp_path):
    with pytest.raises(TljhError, match="canoe"):
        copy_to(tmp_path / "part", machine, "canoe")


def test_a_damaged_package_of_the_channel_stops_the_copy(make_machine, channel_copy, tmp_path):
    (package,) = channel_copy.rglob("river-2.0-*.conda")
    package.write_bytes(package.read_bytes()[:-1] + b"x")
    with pytest.raises(TljhError, match="is not the file that its channel lists"):
        copy_to(tmp_path / "part", make_machine([channel_copy]))
