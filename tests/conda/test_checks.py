"""What only root can read in the user environment: found, and opened by the command in the fix."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tljh.base.findings import Severity
from tljh.base.paths import Paths
from tljh.conda import checks
from tljh.host.real import RealReader
from tljh.plugins.checks import CheckedMachine, Result

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make root's files")

GROUP = 12345


@pytest.fixture
def paths(tmp_path, monkeypatch) -> Paths:
    """Return an installation; `shared` in it takes the place of the system's directories."""
    monkeypatch.setattr(checks, "SHARED_DIRECTORIES", (tmp_path / "shared", tmp_path / "missing"))
    paths = Paths(tmp_path)
    tmp_path.chmod(0o755)
    for directory in (paths.user, tmp_path / "shared"):
        make(directory / "present" / "file", 0o644, 0o755)
    paths.hub.symlink_to("versions/hub-1")
    return paths


def make(file: Path, mode: int, mode_of_directory: int) -> None:
    """Make a file; its missing directories get `mode_of_directory`."""
    for directory in reversed(file.parents):
        if not directory.exists():
            directory.mkdir()
            directory.chmod(mode_of_directory)
    file.write_text("content")
    file.chmod(mode)


def results(paths: Paths) -> list[Result]:
    subject = CheckedMachine(RealReader(), paths, None, None)
    return [result for check in checks.CHECKS for result in check.look(subject)]


def repair(result: Result) -> None:
    """Run the fix as an admin pastes it."""
    fix = str(result[1].fix)
    assert fix.startswith("sudo ")
    subprocess.run(["bash", "-c", fix.removeprefix("sudo ")], check=True)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_package_that_only_root_can_read_is_found_and_opened(paths):
    package = paths.user / "lib" / "python3.13" / "site-packages" / "gdal"
    make(paths.user / "lib" / "python3.13" / "site-packages" / "README", 0o644, 0o755)
    make(package / "data" / "grid", 0o600, 0o700)
    make(paths.user / "bin" / "gdal info", 0o700, 0o755)
    (result,) = results(paths)
    assert result[0] is Severity.DEGRADED
    # The directory, not each file in it.
    assert result[1].what == f"users cannot read {paths.user}/bin/gdal info, {package}"
    repair(result)
    assert results(paths) == []
    assert (mode(package / "data"), mode(package / "data" / "grid")) == (0o755, 0o644)
    assert mode(paths.user / "bin" / "gdal info") == 0o755


def test_a_umask_of_027_is_found_too(paths):
    make(paths.user / "lib" / "gdal" / "init.py", 0o640, 0o750)
    (result,) = results(paths)
    repair(result)
    assert results(paths) == []


def test_what_a_group_of_its_own_can_read_is_private_on_purpose(paths):
    licence = paths.user / "share" / "jupyter" / "licence"
    make(licence, 0o640, 0o755)
    os.chown(licence, 0, GROUP)
    make(paths.user / "lib" / "README", 0o644, 0o755)
    folder = paths.user / "lib" / "course"
    make(folder / "notes", 0o660, 0o770)
    for path in (folder, folder / "notes"):
        os.chown(path, 0, GROUP)
    of_a_user = paths.user / "share" / "jupyter" / "private"
    make(of_a_user, 0o600, 0o755)
    os.chown(of_a_user, GROUP, GROUP)
    assert results(paths) == []
    # A repair next to it does not open it either.
    for number in range(5):
        make(paths.user / "lib" / f"closed-{number}", 0o600, 0o755)
        make(paths.user / "share" / "jupyter" / f"closed-{number}", 0o600, 0o755)
    (result,) = results(paths)
    assert "and 7 others" in result[1].what
    repair(result)
    assert results(paths) == []
    assert (mode(licence), mode(folder), mode(of_a_user)) == (0o640, 0o770, 0o600)


def test_a_private_file_outside_of_packages_is_a_note_only(paths):
    key = paths.user / "etc" / "key"
    make(key, 0o600, 0o755)
    ((severity, finding),) = results(paths)
    assert severity is Severity.FINE
    assert f"only root can read {key}" in finding.what
    assert "if it is private, leave it so" in str(finding.fix)


def test_kernels_and_settings_for_all_are_found_outside_of_the_environment(paths):
    kernel = paths.prefix / "shared" / "jupyter" / "kernels" / "r" / "kernel.json"
    make(kernel, 0o600, 0o700)
    (result,) = results(paths)
    assert str(paths.prefix / "shared" / "jupyter") in result[1].what
    repair(result)
    assert results(paths) == []
    assert mode(kernel) == 0o644


@pytest.mark.parametrize(
    ("hub", "user", "severity"),
    [
        ("6.1.1", "6.1.0", None),
        ("6.1.1", "6.0.3", Severity.FINE),
        ("6.1.1", "5.4.0", Severity.DEGRADED),
        ("6.1.1", None, None),
    ],
)
def test_another_jupyterhub_in_the_user_environment_is_named_with_the_fix(
    paths, hub, user, severity
):
    for prefix, version in ((paths.prefix / "versions" / "hub-1", hub), (paths.user, user)):
        if version is not None:
            directory = prefix / "lib" / "python3.12" / "site-packages"
            make(directory / f"jupyterhub-{version}.dist-info" / "METADATA", 0o644, 0o755)
            make(directory / "jupyterhub_idle_culler-1.0.dist-info" / "METADATA", 0o644, 0o755)
    reported = results(paths)
    assert [result[0] for result in reported] == ([severity] if severity is not None else [])
    for _, finding in reported:
        assert finding.fix == "sudo tljh env install jupyterhub-singleuser==6.1.1"
