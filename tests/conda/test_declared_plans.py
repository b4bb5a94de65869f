"""Locks of pixi in the versions that are in use, as records of conda and requirements of pip."""

from __future__ import annotations

import pytest

from tljh.conda.worker.declared_plans import read_lock
from tljh.conda.worker.events import CondaProblem

SHA256, MD5 = "ab" * 32, "cd" * 16
FORGE = "https://conda.anaconda.org/conda-forge"
TZDATA = f"{FORGE}/noarch/tzdata-2024a-h0c530f3_0.conda"
SIX = "https://files.pythonhosted.org/packages/b7/ce/six-1.17.0-py2.py3-none-any.whl"

VERSION_5 = f"""
version: 5
environments:
  default:
    channels: [{{url: {FORGE}/}}]
    packages:
      {{platform}}:
      - conda: {TZDATA}
packages:
- kind: conda
  name: tzdata
  version: 2024a
  build: h0c530f3_0
  subdir: noarch
  noarch: generic
  url: {TZDATA}
  sha256: {SHA256}
  md5: {MD5}
"""

VERSION_6 = f"""
version: 6
environments:
  default:
    channels:
    - url: {FORGE}/
    indexes:
    - https://pypi.org/simple
    packages:
      {{platform}}:
      - conda: {TZDATA}
      - pypi: {SIX}
      - pypi: ./course
packages:
- conda: {TZDATA}
  sha256: {SHA256}
  md5: {MD5}
  size: 119815
- pypi: {SIX}
  name: six
  version: 1.17.0
  sha256: {SHA256}
- pypi: ./course
  name: course
  version: 0.1.0
  sha256: {SHA256}
  editable: true
"""


def fill(text: str, platform: str) -> str:
    return text.lstrip().replace("{platform}", platform)


@pytest.fixture(scope="module")
def platform() -> str:
    from rattler import Subdir

    return str(Subdir.current())


@pytest.mark.parametrize("text", [VERSION_5, VERSION_6])
def test_a_lock_has_records_with_hashes(text, platform):
    (record,), _ = read_lock(fill(text, platform), "/srv")
    assert (record.url, str(record.version)) == (TZDATA, "2024a")
    assert record.sha256 and record.sha256.hex() == SHA256


def test_packages_of_pip_come_from_the_index_and_local_ones_from_next_to_the_lock(platform):
    _, requirements = read_lock(fill(VERSION_6, platform), "/srv")
    assert sorted(requirements) == [
        "course @ file:///srv/course",
        f"six==1.17.0 --hash=sha256:{SHA256}",
    ]


def test_a_lock_for_another_platform_or_environment_is_named(platform):
    with pytest.raises(CondaProblem, match="not for this machine") as other:
        read_lock(fill(VERSION_6, "osx-arm64"), "/srv")
    assert "osx-arm64" in other.value.why
    two = fill(VERSION_5, platform).replace(
        "  default:", "  test: {channels: [], packages: {}}\n  docs:"
    )
    with pytest.raises(CondaProblem, match="no environment `default`"):
        read_lock(two, "/srv")
    with pytest.raises(CondaProblem, match="cannot be read"):
        read_lock("version: 6\nenvironments: 1\npackages: 2\n", "/srv")
