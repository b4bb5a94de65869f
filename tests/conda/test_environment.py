"""What is read from an environment's directories, and which packages are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tljh.conda.environment import (
    RequiredPackage,
    UserEnvironment,
    find_missing_packages,
    find_shadowed_distributions,
    parse_conda_packages,
    parse_distributions,
    read_environment,
)
from tljh.conda.resource import require_singleuser
from tljh.host.fake import FakeHost
from tljh.host.interface import FileInfo

PREFIX = Path("/opt/tljh/user")
SINGLEUSER = require_singleuser("6.1.1")


def test_versions_come_from_the_names_of_conda_records():
    names = ["history", "numpy-2.4.6-py311_0.json", "jupyter-resource-usage-1.1.0-py_0.json"]
    assert parse_conda_packages(names) == {"numpy": "2.4.6", "jupyter-resource-usage": "1.1.0"}


def test_versions_come_from_the_names_of_dist_infos():
    names = ["Jinja2-3.1.dist-info", "ruamel.yaml-0.18.1.dist-info", "jinja2", "x.egg-info"]
    assert parse_distributions(names) == {"jinja2": "3.1", "ruamel-yaml": "0.18.1"}


def test_a_prefix_without_conda_meta_is_no_environment():
    assert read_environment(FakeHost(), PREFIX) is None


def test_an_environment_is_read_without_opening_a_package():
    host = FakeHost()
    directory, empty = FileInfo("directory", 0o755, "root", "root"), FileInfo("file", 0o644, "", "")
    for path in ("", "conda-meta", "lib", "lib/python3.12", "lib/python3.12/site-packages"):
        host.files[PREFIX / path] = (directory, b"")
    host.files[PREFIX / "conda-meta/python-3.12.4-h1_0.json"] = (empty, b"not read")
    host.files[PREFIX / "lib/python3.12/site-packages/pip-26.3.dist-info"] = (directory, b"")
    marker = b'{"generation": 3, "requirements": ["abc"]}'
    host.files[PREFIX / "conda-meta/tljh-environment"] = (empty, marker)
    environment = read_environment(host, PREFIX)
    assert environment is not None
    assert (environment.conda, environment.distributions) == ({"python": "3.12.4"}, {"pip": "26.3"})
    assert (environment.generation, environment.requirements) == (3, {"abc"})


@pytest.mark.parametrize("damaged", [b"", b"[]", b"{", b"\xff"])
def test_a_damaged_marker_counts_as_none(damaged):
    host = FakeHost()
    info = FileInfo("directory", 0o755, "root", "root")
    host.files[PREFIX / "conda-meta"] = (info, b"")
    host.files[PREFIX / "conda-meta/tljh-environment"] = (FileInfo("file", 0o644, "", ""), damaged)
    environment = read_environment(host, PREFIX)
    assert environment is not None
    assert environment.generation == 0


@pytest.mark.parametrize(
    ("spec", "version", "is_missing"),
    [
        ("numpy", "1.0", False),
        ("numpy>=2", "2.1", False),
        ("numpy>=2", "1.26", True),
        ("numpy >=2,<3", "3.0", True),
        ("numpy=1.26", "1.26.4", False),
        ("numpy=1.26", "1.27", True),
        ("numpy==1.26", "1.26.4", True),
        ("numpy 1.26.*", "1.26.4", False),
        ("conda-forge::numpy>=2", "2.1", False),
        ("numpy=1.26=py311_0", "1.26", False),  # builds are conda's business
        ("numpy[build='*cuda*']", "1.26", False),
        ("scipy", "", True),
    ],
)
def test_a_spec_of_a_plugin_is_compared_with_what_is_installed(spec, version, is_missing):
    environment = UserEnvironment(conda={"numpy": version})
    assert bool(find_missing_packages(environment, [RequiredPackage.from_spec(spec)])) is is_missing


def test_the_single_user_server_may_be_newer_than_the_hub_but_not_older():
    def is_missing(version: str) -> bool:
        environment = UserEnvironment({"jupyterhub-singleuser": version})
        return find_missing_packages(environment, [SINGLEUSER]) == [SINGLEUSER]

    assert [is_missing(version) for version in ("6.1.0", "6.1.1", "6.2.0")] == [True, False, False]


def test_what_pip_installed_is_good_enough():
    environment = UserEnvironment(distributions={"jupyterlab": "4.5", "jupyterhub": "6.1.1"})
    assert find_missing_packages(environment, [RequiredPackage("jupyterlab"), SINGLEUSER]) == []


def test_an_older_version_that_pip_put_over_condas_is_missing_and_shadowed():
    environment = UserEnvironment({"jupyterhub-singleuser": "6.1.1"}, {"jupyterhub": "5.0"})
    missing = find_missing_packages(environment, [SINGLEUSER])
    assert missing == [SINGLEUSER]
    assert find_shadowed_distributions(environment, missing) == ["jupyterhub"]
