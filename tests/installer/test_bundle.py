"""The bootstrap with a bundle: refused before anything happens, unpacked whole, then cleaned up."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from tljh_installer import bundle
from tljh_installer.facts import MachineFacts
from tljh_installer.index import PackagePages
from tljh_installer.main import Run
from tljh_installer.options import parse, use_bundle
from tljh_installer.release import Payload
from tljh_installer.wheel import Wheel

from tljh.base.bundles import VARIABLE, Manifest, read_manifest
from tljh.base.errors import TljhError
from tljh.base.package_indexes import read_package_indexes
from tljh.host.bundle_archive import list_files, write_bundle

LOCK = "six==1.17.0\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    content = tmp_path / "content"
    (content / "wheels").mkdir(parents=True)
    (content / "wheels/uv-0.13.0-py3-none-manylinux2014_x86_64.whl").write_bytes(b"w" * 5000)
    manifest = Manifest(
        "0.1.0",
        hashlib.sha256(LOCK.encode()).hexdigest(),
        "x86_64",
        "debian12",
        "2026-11-28T00:00:00Z",
        list_files(content),
    )
    write_bundle(tmp_path / "b.tar", manifest, content)
    return tmp_path / "b.tar"


def payload(lock: str = LOCK) -> Payload:
    return Payload("0.1.0", lock, Wheel("x.whl", b""), lambda: b"")


def test_it_has_to_fit_the_machine_and_the_bootstrap(file: Path) -> None:
    manifest = read_manifest(file)
    assert bundle.find_problems(file, manifest, MachineFacts(), payload()) == []
    other = MachineFacts(architecture="aarch64", os_id="ubuntu", os_version="24.04")
    findings = bundle.find_problems(file, manifest, other, payload("six==1.18.0\n"))
    text = "\n".join(finding.as_text() for finding in findings)
    assert "this machine has aarch64" in text and "this machine runs ubuntu24.04" in text
    assert "tar -xf" in text and "bootstrap.py" in text


def test_it_is_unpacked_once_and_again_when_a_file_of_it_is_damaged(
    file: Path, tmp_path: Path
) -> None:
    manifest, versions = read_manifest(file), tmp_path / "versions"
    directory = bundle.unpack(file, manifest, versions)
    (wheel,) = (directory / "wheels").iterdir()
    before = wheel.stat().st_ino
    assert bundle.unpack(file, manifest, versions) == directory
    assert wheel.stat().st_ino == before
    wheel.write_bytes(b"damaged")
    bundle.unpack(file, manifest, versions)
    assert wheel.read_bytes() == b"w" * 5000


def test_a_bundle_that_is_damaged_half_way_leaves_no_directory(file: Path, tmp_path: Path) -> None:
    manifest, versions = read_manifest(file), tmp_path / "versions"
    data = file.read_bytes()
    file.write_bytes(data.replace(b"w" * 5000, b"w" * 4999 + b"x"))
    with pytest.raises(TljhError, match="damaged"):
        bundle.unpack(file, manifest, versions)
    assert list(versions.iterdir()) == []


def test_only_the_bundle_that_the_hub_uses_stays(tmp_path: Path) -> None:
    for name in ("bundle-1", "bundle-2", "hub-1"):
        (tmp_path / "versions" / name).mkdir(parents=True)
    (tmp_path / "state").mkdir()
    kept = {VARIABLE: str(tmp_path / "versions" / "bundle-2")}
    (tmp_path / "state" / "environment.json").write_text(json.dumps(kept))
    bundle.remove_unused(tmp_path)
    left = sorted(path.name for path in (tmp_path / "versions").iterdir())
    assert left == ["bundle-2", "hub-1"]


def test_its_packages_are_the_only_ones(file: Path, tmp_path: Path) -> None:
    options = parse(
        ["--bundle", str(file)], {"PIP_INDEX_URL": "https://pypi.example.org"}, "0.1.0", tmp_path
    )
    used = use_bundle(options, Path("/b"))
    assert used.conda_channels == ("/b/channel",)
    assert "PIP_INDEX_URL" not in used.environment
    assert used.environment["PIP_FIND_LINKS"] == "/b/wheels"


def test_wheels_are_found_without_an_index(file: Path, tmp_path: Path) -> None:
    directory = bundle.unpack(file, read_manifest(file), tmp_path / "versions")
    environ = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(directory / "wheels")}
    pages = PackagePages(read_package_indexes(environ, {}))
    assert pages.problems("uv") == {}


def test_a_damaged_bundle_changes_nothing(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import nullcontext

    from tljh_installer import facts as machine
    from tljh_installer import main as bootstrap

    monkeypatch.setattr(machine, "read_local", lambda prefix, ports: MachineFacts())
    monkeypatch.setattr(bootstrap, "run_lock", nullcontext)
    file.write_bytes(file.read_bytes()[:-11000])
    environ = {"TLJH_INSTALL_PREFIX": str(tmp_path / "opt")}
    options = parse(["--bundle", str(file)], environ, "0.1.0", tmp_path)
    pages = PackagePages(read_package_indexes(environ, {}))
    with pytest.raises(TljhError):
        Run(options, payload(), pages, environ, "").run()
    assert not (tmp_path / "opt").exists()
