"""Files that declare an environment: written, read and applied, with a way back that is exact."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.installer.conftest import make_wheel
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.conda.declared_changes import (
    export,
    find_more_channels,
    parse_file,
    plan_file,
    strip_channel,
)
from tljh.conda.environment import RequiredPackage
from tljh.conda.package_changes import Action, PackagePlan, PackageRequest, plan_changes
from tljh.host.real import RealHost
from tljh.operations.env_changes import change
from tljh.operations.installed_environment import PackageSources

from .conftest import DyingHost, Machine

REQUIRED = (RequiredPackage("python"), RequiredPackage("ferry", "==1.0", at_least="1.0"))


@pytest.fixture(autouse=True)
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Serve raft 1.0 and 1.1 and ferry 3.0 as the only packages that uv finds."""
    folder = tmp_path / "links"
    folder.mkdir()
    for name, version in (("raft", "1.0"), ("raft", "1.1"), ("ferry", "3.0")):
        file, data = make_wheel(name, version, {f"{name}/__init__.py": b""})
        (folder / file).write_bytes(data)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Machine:
    """Return a machine with ferry 1.0, boat 1.0, river 1.0 and pip's raft 1.0."""
    root = tmp_path_factory.mktemp("built")
    file, data = make_wheel("raft", "1.0", {"raft/__init__.py": b""})
    (root / file).write_bytes(data)
    machine = make_machine_in(root / "tljh", tiny)
    specs = ("python", "ferry==1.0", "boat==1.0", "river==1.0")
    # No path: it would be recorded as the place where raft comes from.
    text = f"--no-index --find-links {root}\nraft==1.0"
    machine.apply(machine.environment(*specs, requirements=(text,)))
    return machine


def make_machine_in(root: Path, channel: Path) -> Machine:
    paths = Paths(root)
    for directory in (paths.prefix, paths.versions, paths.state_dir):
        directory.mkdir(parents=True, exist_ok=True)
    return Machine(paths, DyingHost(), (str(channel),))


@pytest.fixture
def shared(built: Machine, tmp_path: Path, tiny: Path) -> Machine:
    """Return a copy of the machine that a test may change."""
    machine = make_machine_in(tmp_path / "tljh", tiny)
    shutil.copytree(built.user, machine.user, symlinks=True)
    return machine


def plan_from(machine: Machine, path: Path, required: Any = REQUIRED) -> PackagePlan:
    return plan_file(machine.host, machine.paths, str(path), machine.channels, required)


def make(machine: Machine, planned: PackagePlan) -> int:
    sources = PackageSources(machine.channels, REQUIRED)
    progress = SilentProgress()
    return change(machine.host, machine.paths, planned, sources, progress, lambda *_: None)


def request(machine: Machine, action: Action, *specs: str, pip: bool = False) -> None:
    asked = PackageRequest(action, specs, is_pip=pip)
    make(machine, plan_changes(machine.host, machine.paths, asked, machine.channels, REQUIRED))


def changes_of(planned: PackagePlan) -> list[str]:
    return [change.as_text().partition("  ")[0] for change in planned.changes]


def packages(machine: Machine) -> list[str]:
    names = [path.stem for path in machine.user.glob("conda-meta/*.json")]
    return sorted(names + [path.name for path in machine.user.rglob("*.dist-info")])


def write(path: Path, text: str) -> Path:
    path.write_text(textwrap.dedent(text))
    return path


@pytest.mark.parametrize("name", ["lock", "environment.yml", "requirements"])
def test_an_exported_file_brings_the_environment_back_exactly(shared, tmp_path, name):
    exported = export(shared.host, shared.paths, name)
    assert exported.warnings == (
        ("conda's ferry 1.0: no index of pip has this version",) if name == "requirements" else ()
    )
    file = write(tmp_path / name, exported.text)
    assert not plan_from(shared, file)
    before = packages(shared)
    more = "dependencies: [%s {pip: [raft==1.1, ferry==3.0]}]"
    conda = "" if name == "requirements" else "barge, river=1.1,"
    make(shared, plan_from(shared, write(tmp_path / "more.yml", more % conda)))
    planned = plan_from(shared, file)
    expected = {"~ raft 1.1 -> 1.0", "- ferry 3.0"}
    if name != "requirements":
        expected |= {"- barge 2.0", "~ river 1.1 -> 1.0"}
    assert set(changes_of(planned)) == expected
    make(shared, planned)
    assert packages(shared) == before
    assert not plan_from(shared, file)


def test_a_lock_of_one_machine_makes_the_same_environment_on_another(shared, tmp_path, tiny):
    file = write(tmp_path / "lock", export(shared.host, shared.paths, "lock").text)
    other = make_machine_in(tmp_path / "other", tiny)
    other.apply(other.environment("python", "ferry==2.0", "anchor"))
    make(other, plan_from(other, file))
    assert packages(other) == packages(shared)


def test_a_package_that_is_not_what_the_lock_names_is_refused(shared, tmp_path, links):
    text = export(shared.host, shared.paths, "lock").text
    request(shared, "update", "raft", pip=True)
    before = shared.contents()
    file, data = make_wheel("raft", "1.0", {"raft/__init__.py": b"evil = True"})
    (links / file).write_bytes(data)
    planned = plan_from(shared, write(tmp_path / "lock", text))
    with pytest.raises(TljhError) as refusal:
        make(shared, planned)
    assert "hash" in str(refusal.value).lower()
    assert shared.contents() == before


def test_what_servers_need_is_not_locked_away(shared, tmp_path):
    text = export(shared.host, shared.paths, "lock").text
    file = write(tmp_path / "lock", text)
    required = (*REQUIRED, RequiredPackage("barge"))
    with pytest.raises(TljhError, match="has no barge"):
        plan_from(shared, file, required)


def conda_lock(machine: Machine, tiny: Path, *, sha256: str | None = None) -> str:
    """Return the environment as conda-lock writes it."""
    from rattler import PrefixRecord

    lines = ["version: 1", "metadata:", "  platforms: [linux-64]", "package:"]
    for path in machine.user.glob("conda-meta/*.json"):
        record = PrefixRecord.from_path(path)
        assert record.sha256
        for platform in ("linux-64", "osx-64"):
            lines += [
                f"- name: {record.name.normalized}",
                f"  version: '{record.version}'",
                "  manager: conda",
                f"  platform: {platform}",
                f"  url: {record.url}",
                f"  hash: {{sha256: '{sha256 or record.sha256.hex()}'}}",
                "  category: main",
            ]
    return "\n".join(lines) + "\n"


def explicit(machine: Machine, tiny: Path) -> str:
    from rattler import PrefixRecord

    records = [PrefixRecord.from_path(path) for path in machine.user.glob("conda-meta/*.json")]
    lines = [f"{r.url}#{r.md5.hex()}" if r.md5 else r.url for r in records]
    return "\n".join(["# platform: linux-64", "@EXPLICIT", *lines]) + "\n"


@pytest.mark.parametrize("format_file", [conda_lock, explicit])
def test_lists_of_urls_are_locks_too(shared, tmp_path, tiny, format_file):
    file = write(tmp_path / "lock.yml", format_file(shared, tiny))
    request(shared, "install", "barge", "river==1.1")
    planned = plan_from(shared, file)
    assert set(changes_of(planned)) == {"- barge 2.0", "~ river 1.1 -> 1.0", "- raft 1.0"}
    make(shared, planned)
    assert "barge" not in shared.installed() and shared.installed()["river"] == "1.0"
    assert not plan_from(shared, file)


def test_a_lock_whose_channel_has_another_package_is_refused(shared, tmp_path, tiny):
    file = write(tmp_path / "lock.yml", conda_lock(shared, tiny, sha256="ab" * 32))
    with pytest.raises(TljhError, match="is another package"):
        plan_from(shared, file)


def test_an_environment_file_adds_packages_and_removes_none(shared, tmp_path):
    text = """
        name: course
        channels: [nodefaults]
        dependencies:
          - river >=1.1
          - defaults::barge=1.0
          - pip
          - pip:
            - raft>=1.1
    """.replace("          - pip\n", "")
    file = write(tmp_path / "environment.yml", text)
    planned = plan_from(shared, file)
    assert changes_of(planned) == ["+ barge 1.0", "~ river 1.0 -> 1.1", "~ raft 1.0 -> 1.1"]
    make(shared, planned)
    assert shared.installed()["boat"] == "1.0"
    assert not plan_from(shared, file)


def test_a_requirements_file_adds_packages_and_its_references_are_its_neighbours(shared, tmp_path):
    write(tmp_path / "more.txt", "raft==1.1\n")
    planned = plan_from(shared, write(tmp_path / "requirements.txt", "-r more.txt  # all\n"))
    assert changes_of(planned) == ["~ raft 1.0 -> 1.1"]


def test_a_distribution_from_a_file_is_exported_with_its_hash_and_a_warning(
    shared, tmp_path, links
):
    (links / "raft-1.1-py3-none-any.whl").rename(tmp_path / "raft-1.1-py3-none-any.whl")
    wheel = tmp_path / "raft-1.1-py3-none-any.whl"
    request(shared, "install", str(wheel), pip=True)
    exported = export(shared.host, shared.paths, "lock")
    (warning,) = exported.warnings
    assert f"raft 1.1: it was installed from the file {wheel}" in warning
    file = write(tmp_path / "lock", exported.text)
    assert not plan_from(shared, file)
    request(shared, "install", "raft==1.0", pip=True)
    make(shared, plan_from(shared, file))
    assert "raft-1.1.dist-info" in packages(shared)


def test_a_version_that_no_index_has_is_named(shared, links):
    (links / "raft-1.0-py3-none-any.whl").unlink()
    exported = export(shared.host, shared.paths, "environment.yml")
    assert exported.warnings == ("pip's raft 1.0: no index has this version",)
    assert "# not reproduced: pip's raft 1.0" in exported.text


def test_an_index_that_does_not_answer_is_an_error_and_not_a_missing_version(shared, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(TljhError, match="index cannot be asked"):
        export(shared.host, shared.paths, "lock")


def test_a_mirror_takes_the_place_of_a_channel_and_others_are_added():
    mirror = ("https://token:x@mirror.example.org/conda-forge",)
    assert find_more_channels(["conda-forge", "nodefaults", "bioconda"], mirror) == ["bioconda"]
    assert strip_channel("conda-forge::numpy >=2", mirror) == "numpy >=2"
    assert strip_channel("conda-forge/linux-64::numpy", mirror) == "numpy"
    assert strip_channel("bioconda::samtools", mirror) == "bioconda::samtools"


def test_files_that_a_file_refers_to_are_read_and_named_when_they_are_foreign(tmp_path):
    file = write(tmp_path / "environment.yml", "dependencies: [{pip: ['-r more.txt', 'ferry']}]\n")
    (tmp_path / "more.txt").write_bytes("raft==1.1\r\n".encode("utf-16"))
    assert parse_file(RealHost(), str(file)).requirements == ("raft==1.1", "ferry")
    write(tmp_path / "more.txt", "dependencies: [raft]\n")
    with pytest.raises(TljhError, match=r"more\.txt is an environment file of conda"):
        parse_file(RealHost(), str(file))
