"""What the bootstrap reads of The Littlest JupyterHub: what hinders a takeover, added packages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tljh_installer.takeover import AddedPackages, find_added_packages, find_problems


@pytest.fixture
def units(tmp_path: Path) -> Path:
    directory = tmp_path / "units"
    directory.mkdir()
    for name in ("jupyterhub", "traefik"):
        (directory / f"{name}.service").touch()
    return directory


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    root = tmp_path / "tljh"
    add(root, "the_littlest_jupyterhub", "2.0.0")
    (root / "user/conda-meta").mkdir(parents=True)
    (root / "config").mkdir()
    (root / "config/config.yaml").touch()
    return root


def add(root: Path, name: str, version: str, **files: str) -> None:
    directory = root / f"hub/lib/python3.11/site-packages/{name}-{version}.dist-info"
    directory.mkdir(parents=True)
    (directory / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    )
    for file, text in files.items():
        (directory / file.replace("__", ".")).write_text(text)


def test_nothing_hinders_the_takeover_of_a_whole_installation(prefix, units):
    assert list(find_problems(prefix, units)) == []


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda prefix, units: (units / "configurable-http-proxy.service").touch(), "older"),
        (
            lambda prefix, units: (prefix / "config/config.yaml").rename(prefix / "config.yaml"),
            "older than release 1.0",
        ),
        (
            lambda prefix, units: (prefix / "user/conda-meta").rename(prefix / "user/else"),
            "no conda environment",
        ),
        (lambda prefix, units: (prefix / "hub").rename(prefix / "hub.old"), "no complete hub"),
        (lambda prefix, units: (units / "traefik.service").unlink(), "traefik.service is missing"),
    ],
)
def test_what_hinders_a_takeover_has_a_sentence_and_a_way_on(prefix, units, break_it, said):
    break_it(prefix, units)
    ((problem, fix),) = find_problems(prefix, units)
    assert said in problem and fix


def test_packages_that_admins_asked_for_are_kept_from_where_they_came(prefix):
    add(prefix, "jupyterhub", "5.2.1", REQUESTED="")
    add(prefix, "Some_Authenticator", "1.4", REQUESTED="")
    add(prefix, "its_dependency", "3")
    points = "[tljh]\nmine = mine\n"
    git = {
        "url": "https://git.example.org/mine",
        "vcs_info": {"vcs": "git", "commit_id": "abc"},
    }
    add(
        prefix, "mine", "0.1",
        REQUESTED="", entry_points__txt=points, direct_url__json=json.dumps(git),
    )  # fmt: skip
    add(prefix, "local", "2", REQUESTED="", direct_url__json='{"url": "file:///srv/local"}')
    assert find_added_packages(prefix) == AddedPackages(
        plugins=("mine @ git+https://git.example.org/mine@abc",),
        others=("local @ file:///srv/local", "some-authenticator>=1.4"),
    )
