"""Damage to an environment as admins do it: each kind is found, with the package and the file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.installer.conftest import make_wheel
from tljh.base.findings import Severity
from tljh.base.paths import Paths
from tljh.conda.package_problems import (
    KINDS,
    Examination,
    examine,
    find_incompatible,
    find_unmet_requirements,
)
from tljh.conda.worker.recorded_files import encode_hash

from .conftest import DyingHost, Machine

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an environment belongs to root")

RAFT = b"VALUE = 1\n"


def make_hashed_wheel(folder: Path, name: str, version: str) -> Path:
    """Write a wheel whose RECORD has hashes, as wheels of PyPI have."""
    module, record = f"{name}/__init__.py", f"{name}-{version}.dist-info/RECORD"
    script = f"{name}-{version}.data/scripts/row"
    file, data = make_wheel(name, version, {module: RAFT, script: b"#!python\n"})
    with ZipFile(BytesIO(data)) as archive:
        contents = {path: archive.read(path) for path in archive.namelist()}
    row = f"{module},{encode_hash(hashlib.sha256(RAFT).digest())},{len(RAFT)}"
    contents[record] = contents[record].replace(f"{module},,".encode(), row.encode())
    with ZipFile(folder / file, "w") as archive:
        for path, content in contents.items():
            archive.writestr(path, content)
    return folder / file


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Machine:
    """Return a machine with conda's ferry, barge and boat, and pip's raft."""
    root = tmp_path_factory.mktemp("damaged")
    paths = Paths(root / "tljh")
    for directory in (paths.prefix, paths.versions, paths.state_dir):
        directory.mkdir(parents=True, exist_ok=True)
    machine = Machine(paths, DyingHost(), (str(tiny),))
    wheel = make_hashed_wheel(root, "raft", "1.0")
    specs = ("python", "ferry==1.0", "barge==1.0", "boat")
    requirements = (f"raft @ {wheel.as_uri()}",)
    machine.apply(machine.environment(*specs, requirements=requirements))
    return machine


@pytest.fixture
def damaged(machine: Machine, tmp_path: Path) -> Machine:
    """Return a copy of the machine that a test may damage."""
    paths = Paths(tmp_path / "tljh")
    for directory in (paths.prefix, paths.versions, paths.state_dir):
        directory.mkdir(parents=True, exist_ok=True)
    shutil.copytree(machine.user, paths.user, symlinks=True)
    return Machine(paths, machine.host, machine.channels)


def site_packages(machine: Machine) -> Path:
    (path,) = machine.user.glob("lib/python3.*/site-packages")
    return path


def problems(machine: Machine, *, is_quick: bool = False) -> Examination:
    return examine(machine.host, machine.paths, is_quick=is_quick)


def kinds(machine: Machine, *, is_quick: bool = False) -> set[tuple[str, str, str]]:
    examination = problems(machine, is_quick=is_quick)
    return {(item.kind, item.source, item.package) for item in examination.problems}


def test_an_environment_as_built_has_no_problem(machine):
    examination = problems(machine)
    assert examination.problems == ()
    assert examination.packages >= 5 and examination.files > 100
    assert problems(machine, is_quick=True).problems == ()
    assert find_unmet_requirements(machine.host, machine.paths) == ()


def append(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content + b"# edited\n")


DAMAGES: dict[str, tuple[Callable[[Path, Path], object], tuple[str, str, str], bool]] = {
    "a module of conda is removed": (
        lambda user, site: (site / "ferry/__init__.py").unlink(),
        ("missing", "conda", "ferry"),
        True,
    ),
    "a module of pip is removed": (
        lambda user, site: (site / "raft/__init__.py").unlink(),
        ("missing", "pip", "raft"),
        True,
    ),
    "a whole package is removed": (
        lambda user, site: shutil.rmtree(user / "share/boat"),
        ("missing", "conda", "boat"),
        True,
    ),
    "a module of conda is edited": (
        lambda user, site: append(site / "barge.py"),
        ("changed", "conda", "barge"),
        False,
    ),
    "a module of pip is edited": (
        lambda user, site: append(site / "raft/__init__.py"),
        ("changed", "pip", "raft"),
        True,
    ),
    "a directory takes the place of a file": (
        lambda user, site: [(site / "barge.py").unlink(), (site / "barge.py").mkdir()],
        ("changed", "conda", "barge"),
        False,
    ),
    "a file belongs to a user": (
        lambda user, site: os.chown(site / "barge.py", 1000, 1000),
        ("owner", "conda", "barge"),
        True,
    ),
    "a directory is open to all": (
        lambda user, site: (site / "ferry").chmod(0o777),
        ("writable", "", ""),
        True,
    ),
    "a user's module is among the packages": (
        lambda user, site: [
            (site / "mine.pth").touch(),
            os.chown(site / "mine.pth", 1000, 1000),
        ],
        ("owner", "", ""),
        True,
    ),
    "a umask closed a file": (
        lambda user, site: (site / "barge.py").chmod(0o600),
        ("unreadable", "conda", "barge"),
        True,
    ),
    "a program cannot be run": (
        lambda user, site: (user / "bin/ferry").chmod(0o644),
        ("mode", "conda", "ferry"),
        True,
    ),
    "a record is cut off": (
        lambda user, site: cut_off(next((user / "conda-meta").glob("boat-*.json"))),
        ("record", "conda", "boat"),
        True,
    ),
    "a record is removed": (
        lambda user, site: next((user / "conda-meta").glob("boat-*.json")).unlink(),
        ("record", "conda", "boat"),
        True,
    ),
    "a record is there twice": (
        lambda user, site: shutil.copy(
            next((user / "conda-meta").glob("boat-*.json")), user / "conda-meta/boat-9-0.json"
        ),
        ("metadata", "conda", "boat"),
        True,
    ),
    "a distribution has two versions": (
        lambda user, site: shutil.copytree(
            site / "raft-1.0.dist-info", site / "raft-0.9.dist-info"
        ),
        ("metadata", "pip", "raft"),
        True,
    ),
    "a distribution has no metadata": (
        lambda user, site: (site / "raft-1.0.dist-info/METADATA").unlink(),
        ("metadata", "pip", "raft"),
        True,
    ),
    "a distribution has no RECORD": (
        lambda user, site: (site / "raft-1.0.dist-info/RECORD").unlink(),
        ("metadata", "pip", "raft"),
        True,
    ),
    "pip was interrupted": (
        lambda user, site: (site / "~aft-1.0.dist-info").mkdir(),
        ("leftover", "pip", ""),
        True,
    ),
    "the Python of a distribution is gone": (
        lambda user, site: lose(user, "oar"),
        ("lost", "pip", ""),
        True,
    ),
    "the Python of a distribution is gone, and it is there for the new one": (
        lambda user, site: lose(user, "raft"),
        ("leftover", "pip", ""),
        True,
    ),
}


def lose(user: Path, name: str) -> None:
    (user / f"lib/python3.2/site-packages/{name}-1.dist-info").mkdir(parents=True)


def cut_off(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:100])


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damage_is_found(damaged, damage):
    make, expected, is_quick = DAMAGES[damage]
    make(damaged.user, site_packages(damaged))
    assert expected in kinds(damaged)
    assert (expected in kinds(damaged, is_quick=True)) is is_quick


def test_a_damage_names_the_package_the_file_and_a_way_back(damaged):
    module = site_packages(damaged) / "ferry/__init__.py"
    module.unlink()
    (problem,) = problems(damaged).problems
    finding = problem.as_finding(damaged.user)
    assert finding.what == "conda's ferry lacks 1 file"
    assert finding.where and finding.where.path == str(module)
    assert finding.fix and finding.fix.startswith("sudo tljh env ")
    assert problem.severity is Severity.DEGRADED


def test_what_an_upgrade_of_python_lost_has_a_command_that_brings_it_back(damaged):
    lose(damaged.user, "oar")
    (problem,) = problems(damaged).problems
    assert (problem.as_finding(damaged.user).fix or "").endswith("tljh env install --pip oar")
    assert problem.severity is Severity.DEGRADED


def test_what_admins_do_on_purpose_is_no_damage(damaged):
    user = damaged.user
    # A private file, a folder of a group, and byte code.
    (user / "etc/private").mkdir(parents=True)
    (user / "etc/private").chmod(0o700)
    (user / "share/course").mkdir()
    os.chown(user / "share/course", 0, 1000)
    (user / "share/course").chmod(0o2775)
    for compiled in user.rglob("*.pyc"):
        compiled.unlink()
    assert kinds(damaged) == set()


def test_a_package_that_pip_replaced_is_shadowed_and_not_damaged(damaged, tmp_path):
    wheel = make_hashed_wheel(tmp_path, "ferry", "3.0")
    damaged.apply(damaged.environment("python", requirements=(f"ferry @ {wheel.as_uri()}",)))
    assert kinds(damaged) == {("shadowed", "conda", "ferry")}
    assert KINDS["shadowed"].severity is Severity.FINE
    append(site_packages(damaged) / "ferry/__init__.py")
    assert ("changed", "pip", "ferry") in kinds(damaged)


def test_a_missing_dependency_and_an_old_server_are_named(damaged):
    river = next((damaged.user / "conda-meta").glob("river-*.json"))
    river.unlink()
    (unmet,) = find_unmet_requirements(damaged.host, damaged.paths)
    assert unmet.why.startswith("boat needs river")
    (site_packages(damaged) / "jupyter_server-1.24.0.dist-info").mkdir()
    (old,) = find_incompatible(damaged.host, damaged.paths)
    assert old.package == "jupyter-server" and "1.24.0" in old.why


def test_the_script_of_a_pip_package_has_the_hash_in_its_record(machine):
    script = (machine.user / "bin/row").read_bytes()
    assert script.startswith(f"#!{machine.user}/bin/python".encode())
    record = (site_packages(machine) / "raft-1.0.dist-info/RECORD").read_text()
    assert f"bin/row,{encode_hash(hashlib.sha256(script).digest())},{len(script)}" in record


def test_records_of_conda_itself_are_read_with_the_paths_of_the_archive(damaged):
    (file,) = (damaged.user / "conda-meta").glob("ferry-*.json")
    fields = json.loads(file.read_text())
    for entry in fields["paths_data"]["paths"]:
        _, separator, rest = entry["_path"].partition("/site-packages/")
        entry["_path"] = f"site-packages/{rest}" if separator else entry["_path"]
    file.unlink()
    file.write_text(json.dumps(fields))
    assert kinds(damaged) == set()
    # Of a file into which the prefix was written, older ones have the hash in the archive only.
    for entry in fields["paths_data"]["paths"]:
        entry.pop("sha256_in_prefix", None)
        entry |= {"sha256": "ab" * 32, "prefix_placeholder": "/opt/placeholder"}
    file.write_text(json.dumps(fields))
    assert kinds(damaged) == set()
    # conda before 4.3 has no hashes at all.
    fields["files"] = [entry["_path"] for entry in fields.pop("paths_data")["paths"]]
    file.write_text(json.dumps(fields))
    assert kinds(damaged) == set()
