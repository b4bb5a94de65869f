"""The local conda channel: complete, repeatable, and readable by the real engine."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

import channel
from tljh.conda import engine
from tljh.conda.resource import BASE, require_singleuser
from tljh.host.real import RealHost

HERE = Path(channel.__file__).parent
HUB_VERSION = "6.1.1"


@pytest.fixture(scope="module")
def full() -> Path:
    return channel.build()


def records(directory: Path) -> dict[str, dict]:
    names = {}
    for path in directory.glob("*/repodata.json"):
        index = json.loads(path.read_text())
        names |= {record["name"]: record for record in index["packages.conda"].values()}
    return names


def test_the_full_channel_satisfies_what_an_installation_asks_for(full, tmp_path):
    specs = [package.spec for package in (*BASE, require_singleuser(HUB_VERSION))]
    solution = engine.solve(RealHost(), [str(full)], specs, tmp_path / "none", {})
    assert solution.added["jupyterhub-singleuser"] == HUB_VERSION
    assert {"python", "pip", "numpy"} - set(solution.added) == {"numpy"}
    assert engine.solve(RealHost(), [str(full)], ["numpy"], tmp_path / "none", {}).added


def test_its_packages_need_nothing_that_it_lacks(full):
    available = records(full)
    needed = {need.split()[0] for record in available.values() for need in record["depends"]}
    assert needed <= set(available)


def test_pure_packages_are_noarch_and_those_with_binaries_are_bound_to_its_python(full):
    available = records(full)
    python = available["python"]["version"].rpartition(".")[0]
    assert available["jupyterlab"]["subdir"] == "noarch"
    assert available["numpy"]["subdir"] != "noarch"
    assert f"python >={python}" in " ".join(available["numpy"]["depends"])


def test_building_again_gives_the_same_bytes(tmp_path):
    first, second = (channel.build("tiny", out=tmp_path / name) for name in ("first", "second"))
    files = sorted(path.relative_to(first) for path in first.rglob("*.conda"))
    assert len(files) > 9
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes(), file


def test_a_channel_is_built_once():
    first = channel.build("tiny")
    stamp = (first / channel.STAMP).stat()
    assert channel.build("tiny") == first
    assert (first / channel.STAMP).stat() == stamp


def test_a_directory_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="something else"):
        channel.build("tiny", out=tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_packages_are_archives_of_the_current_format(tmp_path):
    for path in channel.build("tiny-more").rglob("*.conda"):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            assert json.loads(archive.read("metadata.json"))["conda_pkg_format_version"] == 2
        assert names == ["metadata.json", f"pkg-{path.stem}.tar.zst", f"info-{path.stem}.tar.zst"]


def test_it_is_served_over_loopback_http():
    command = [sys.executable, str(HERE), "serve", "--tiny"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            with urllib.request.urlopen(f"{url}/noarch/repodata.json", timeout=10) as response:
                assert "boat-2.0-0.conda" in json.load(response)["packages.conda"]
        finally:
            server.terminate()
