"""Builds of real hub environments from a small index that misbehaves on demand."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tljh_installer.environment import Builder, read_stamp
from tljh_installer.facts import find_python
from tljh_installer.index import PackagePages
from tljh_installer.release import Payload
from tljh_installer.steps import Steps
from tljh_installer.wheel import Wheel

from tests.installer.conftest import CHECKOUT, FakeIndex, make_wheel
from tljh.base.errors import TljhError
from tljh.base.package_indexes import PackageIndexes
from tljh.base.path_groups import HubEnvironmentFiles

# A stub of tljh.operations.hub_packages, which prints what config.yaml and plugins ask for.
PACKAGES = b"""
import os, pathlib, sys
file = pathlib.Path(os.environ["TLJH_INSTALL_PREFIX"]) / "specs"
print(file.read_text() if file.exists() and "--from-plugins" not in sys.argv else "")
"""
TINY = make_wheel("tiny", "1.0", {"tiny.py": b"value = 1\n"})
EVIL = make_wheel("tiny", "1.0", {"tiny.py": b"import evil\n"})[1]
PLUGIN = make_wheel("plugin", "2.0", {"plugin.py": b""}, requires=("tiny",))
GREEDY = make_wheel("greedy", "3.0", {"greedy.py": b""}, requires=("tiny>=2",))
TINY2 = make_wheel("tiny", "2.0", {"tiny.py": b"value = 2\n"})
TLJH = make_wheel(
    "tljh",
    "0.1",
    {
        "tljh/__init__.py": b"",
        "tljh/operations/__init__.py": b"",
        "tljh/operations/hub_packages.py": PACKAGES,
    },
)


@dataclass
class Workshop:
    """A builder in a temporary directory, with the index that it reads."""

    index: FakeIndex
    root: Path
    payload: Payload
    environ: Mapping[str, str]

    @property
    def prefix(self) -> Path:
        return self.root / "prefix"

    @property
    def versions(self) -> Path:
        return self.prefix / "versions"

    def builder(self, **changes: object) -> Builder:
        builder = Builder(
            steps=Steps(io.StringIO()),
            payload=self.payload,
            pages=PackagePages(PackageIndexes(index=self.index.url, timeout_s=10)),
            python=find_python(),
            prefix=self.prefix,
            versions=self.versions,
            environ=self.environ,
        )
        return replace(builder, **changes)  # type: ignore[arg-type]

    def use(self, path: Path) -> None:
        """Point the link `hub` at the environment, as `tljh install` does."""
        (self.prefix / "hub").unlink(missing_ok=True)
        (self.prefix / "hub").symlink_to(path)

    def names(self) -> list[str]:
        """Return everything in versions/."""
        return sorted(path.name for path in self.versions.glob("*"))


@pytest.fixture
def workshop(index: FakeIndex, uv_wheel: tuple[str, bytes], tmp_path: Path) -> Workshop:
    index.files.update([uv_wheel, TINY, PLUGIN, GREEDY, TINY2])
    lock = index.lock_entry(uv_wheel[0]) + index.lock_entry(TINY[0])
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environ["UV_CACHE_DIR"] = str(tmp_path / "cache")
    return Workshop(
        index, tmp_path, Payload("0.1", lock, Wheel(*TLJH), lambda: b"# bootstrap\n"), environ
    )


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tljh_installer.network._PAUSE_S", 0.0)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


def imports(path: Path, code: str) -> bool:
    return subprocess.run([path / "bin" / "python", "-I", "-c", code]).returncode == 0


def test_an_environment_has_what_is_locked_and_tljh_and_its_own_builder(workshop: Workshop) -> None:
    hub = workshop.builder().build([])
    assert hub.built
    assert workshop.names() == [hub.path.name]
    assert imports(hub.path, "import tljh, tiny; assert tiny.value == 1")
    assert (hub.path / "bin" / "uv").exists()
    assert (hub.path / "share" / "tljh" / "bootstrap.py").read_text() == "# bootstrap\n"
    assert list(hub.path.glob("lib/python3*/site-packages/__pycache__/tiny.*.pyc"))
    stamp = read_stamp(hub.path)
    assert stamp is not None
    assert stamp.spec == hub.spec


def test_a_second_build_finds_the_environment_and_asks_no_index(workshop: Workshop) -> None:
    first = workshop.builder().build([])
    workshop.use(first.path)
    workshop.index.asked.clear()
    again = workshop.builder().build([])
    assert (again.path, again.built) == (first.path, False)
    assert workshop.index.asked == []


def test_a_finished_environment_that_is_not_used_yet_is_found_too(workshop: Workshop) -> None:
    first = workshop.builder().build([])
    assert workshop.builder().build([]).path == first.path


def test_an_unfinished_environment_is_removed_and_built_again(workshop: Workshop) -> None:
    first = workshop.builder().build([])
    HubEnvironmentFiles(first.path).stamp.unlink()
    (workshop.versions / "hub-other").mkdir()
    again = workshop.builder().build([])
    assert again.built
    assert workshop.names() == [first.path.name]


def test_a_tampered_package_stops_the_build_and_leaves_nothing(workshop: Workshop) -> None:
    workshop.index.tamper[TINY[0]] = EVIL
    with pytest.raises(TljhError, match="not the file that was locked"):
        workshop.builder().build([])
    assert workshop.names() == []
    workshop.index.tamper.clear()
    assert workshop.builder().build([]).built


def test_a_tampered_uv_is_never_run(workshop: Workshop, uv_wheel: tuple[str, bytes]) -> None:
    workshop.index.tamper[uv_wheel[0]] = EVIL
    with pytest.raises(TljhError, match="not the file that was locked"):
        workshop.builder().build([])
    assert workshop.names() == []


def test_no_user_can_open_a_lock_in_the_cache(workshop: Workshop) -> None:
    workshop.builder().build([])
    assert (workshop.root / "cache").stat().st_mode & 0o077 == 0


def test_a_tampered_copy_of_uv_in_the_cache_is_not_used(workshop: Workshop) -> None:
    workshop.builder().build([])
    (cached,) = (workshop.root / "cache").glob("uv-*.whl")
    good = cached.read_bytes()
    cached.write_bytes(b"#!/bin/sh\nfalse\n")
    workshop.builder(versions=workshop.root / "elsewhere").build([])
    assert cached.read_bytes() == good


@pytest.mark.parametrize("fault", ["broken", "cut"])
def test_an_index_that_fails_half_way_is_named_and_leaves_nothing(
    workshop: Workshop, fault: str
) -> None:
    getattr(workshop.index, fault).add(TINY[0])
    with pytest.raises(TljhError) as failed:
        workshop.builder().build([])
    assert "127.0.0.1" in str(failed.value)
    assert "PIP_INDEX_URL" in str(failed.value)
    assert workshop.names() == []
    getattr(workshop.index, fault).clear()
    assert workshop.builder().build([]).built


def test_plugins_are_installed_and_locked_versions_stay(workshop: Workshop) -> None:
    hub = workshop.builder().build(["plugin"])
    assert imports(hub.path, "import plugin, tiny; assert tiny.value == 1")
    assert hub.spec.specs == ("plugin",)


def test_a_plugin_that_needs_another_version_than_the_locked_is_refused(workshop: Workshop) -> None:
    with pytest.raises(TljhError) as refused:
        workshop.builder().build(["greedy"])
    assert "greedy" in refused.value.findings[0].what
    assert "tiny" in str(refused.value.findings[0].why)
    assert workshop.names() == []


def test_a_package_that_no_longer_fits_does_not_stop_a_rebuild_and_is_recorded(
    workshop: Workshop,
) -> None:
    first = workshop.builder().build(["plugin"])
    workshop.use(first.path)
    # As in an upgrade: the packages of the current environment, with other locked versions.
    (workshop.prefix / "specs").write_text("plugin\ngreedy\n")
    second = workshop.builder().build([])
    assert imports(second.path, "import plugin")
    assert not imports(second.path, "import greedy")
    left_out = json.loads(HubEnvironmentFiles(second.path).left_out.read_text())
    assert "tiny" in left_out["greedy"]
    workshop.use(second.path)
    assert workshop.builder().build([]).path == second.path
    with pytest.raises(TljhError, match="greedy"):
        workshop.builder().build(["greedy"], specs=["plugin"])


def test_a_rebuilt_environment_keeps_what_admins_added(workshop: Workshop) -> None:
    first = workshop.builder().build([])
    workshop.use(first.path)
    (workshop.prefix / "specs").write_text("plugin==2.0\n")
    second = workshop.builder().build([])
    assert second.built
    assert second.path != first.path
    assert imports(second.path, "import plugin")
    workshop.use(second.path)
    assert not workshop.builder().build([]).built


def test_what_a_new_plugin_asks_for_is_installed_in_the_same_build(workshop: Workshop) -> None:
    workshop.prefix.mkdir()
    (workshop.prefix / "specs").write_text("plugin\n")
    hub = workshop.builder().build([])
    assert hub.spec.specs == ("plugin",)
    assert imports(hub.path, "import plugin")


def test_an_environment_whose_python_is_gone_is_rebuilt_with_its_packages(
    workshop: Workshop,
) -> None:
    first = workshop.builder().build(["plugin"])
    workshop.use(first.path)
    for name in ("python", "python3"):
        (first.path / "bin" / name).unlink(missing_ok=True)
    (first.path / "bin" / "python").symlink_to("/usr/bin/python3.9-gone")
    second = workshop.builder().build([])
    assert second.built
    assert imports(second.path, "import plugin")


def test_another_python_of_the_system_gives_another_environment(workshop: Workshop) -> None:
    builder = workshop.builder()
    other = replace(builder.python, path="/usr/bin/python3.99", tag="cpython-399")
    assert builder.spec_with([]).digest != replace(builder, python=other).spec_with([]).digest


def test_a_spec_overrides_the_wheel_only(workshop: Workshop, tmp_path: Path) -> None:
    name, data = make_wheel("tljh", "9.9", {"tljh/__init__.py": b"mine = True\n"})
    (tmp_path / name).write_bytes(data)
    hub = workshop.builder(pip_spec=str(tmp_path / name)).build([])
    assert imports(hub.path, "import tljh, tiny; assert tljh.mine")


def test_pythonpath_of_the_caller_does_not_leak_in(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "tljh.py").write_text("raise SystemExit('wrong one')")
    builder = workshop.builder(environ={**workshop.environ, "PYTHONPATH": str(tmp_path)})
    assert builder.build([]).built


def test_killed_at_any_moment_the_next_run_converges(workshop: Workshop, tmp_path: Path) -> None:
    """SIGKILL for the builder's process only: its child processes have to end with it."""
    lock = tmp_path / "hub.lock"
    lock.write_text(workshop.payload.lock)
    wheel = tmp_path / TLJH[0]
    wheel.write_bytes(TLJH[1])
    script = tmp_path / "build.py"
    checkout = Path(__file__).resolve().parents[2]
    script.write_text(
        f"""
import io, os, sys
sys.path[:0] = [{str(checkout / "installer")!r}, {str(checkout)!r}]
from pathlib import Path
from tljh_installer.environment import Builder
from tljh_installer.facts import find_python
from tljh_installer.index import PackagePages
from tljh_installer.release import Payload
from tljh.base.package_indexes import PackageIndexes
from tljh_installer.steps import Steps
from tljh_installer.wheel import Wheel
wheel = Wheel({TLJH[0]!r}, Path({str(wheel)!r}).read_bytes())
payload = Payload("0.1", Path({str(lock)!r}).read_text(), wheel, lambda: b"")
prefix = Path({str(workshop.prefix)!r})
print("ready", flush=True)
Builder(Steps(io.StringIO()), payload, PackagePages(PackageIndexes(index={workshop.index.url!r})),
    find_python(), prefix, prefix / "versions", os.environ).build([])
"""
    )
    for delay_s in (0.05, 0.15, 0.3, 0.5, 0.8, 1.2):
        process = subprocess.Popen(
            [sys.executable, script], env=dict(workshop.environ), stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            process.wait(delay_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        process.stdout.close()
        finished = [
            path
            for path in workshop.versions.glob("hub-*")
            if HubEnvironmentFiles(path).stamp.exists()
        ]
        for path in finished:
            assert imports(path, "import tljh, tiny")
    hub = workshop.builder().build([])
    assert workshop.names() == [hub.path.name]
    assert imports(hub.path, "import tljh, tiny")


def test_a_finished_environment_has_byte_code(workshop: Workshop) -> None:
    script = CHECKOUT / "tljh" / "conda" / "worker" / "bytecode.py"
    wheel = make_wheel(
        "tljh",
        "0.1",
        {
            "tljh/__init__.py": b"",
            "tljh/operations/hub_packages.py": PACKAGES,
            "tljh/conda/worker/bytecode.py": script.read_bytes(),
        },
    )
    hub = workshop.builder(payload=replace(workshop.payload, wheel=Wheel(*wheel))).build([])
    assert list(hub.path.glob("lib/python3*/site-packages/__pycache__/tiny.*.pyc"))


def test_a_build_with_explicit_specs_does_not_ask_the_configuration(workshop: Workshop) -> None:
    """Build, as a rollback does, for a configuration that is not the one on disk."""
    first = workshop.builder().build([])
    workshop.use(first.path)
    (workshop.prefix / "specs").write_text("plugin\n")
    assert workshop.builder().build([], specs=[]).spec.specs == ()


def test_two_builds_at_the_same_time_make_one_environment(workshop: Workshop) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: workshop.builder().build([]), range(2))
    assert first.path == second.path
    assert [first.built, second.built].count(True) == 1


def test_the_internal_mode_answers_in_json(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    from tljh_installer import rebuild

    builder = workshop.builder()
    request = json.dumps({"prefix": str(workshop.prefix), "specs": ["plugin"], "env": {}})
    code = rebuild.rebuild(request, workshop.payload, builder.pages, workshop.environ)
    answer = json.loads(capsys.readouterr().out)
    assert code == 0
    assert answer["built"] is True
    assert imports(Path(answer["environment"]), "import plugin")
