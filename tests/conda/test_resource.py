"""Installs, updates, rollbacks and kills, with real packages and the real worker."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tljh.base.errors import TljhError
from tljh.conda import engine
from tljh.conda.environment import BUILDING, MARKER, RequiredPackage
from tljh.conda.tools import CondaTools
from tljh.conda.users_configuration import build_conda_configuration
from tljh.conda.worker import trees
from tljh.settings.load import load
from tljh.settings.root import Config

from .conftest import CHECKOUT, Killed, Machine, contents


def fail() -> None:
    raise TljhError("the hub does not answer")


def break_off(machine: Machine, after: int, *specs: str) -> None:
    """Apply, and die after `after` steps of the worker."""
    machine.host.dies_at, machine.host.seen = after, 0
    # A killed process runs no handler. So the journal is written by hand here and the resource
    # applied directly: `apply` would catch the exception and roll back.
    try:
        planned = machine.plan(machine.environment(*specs))
        machine.journal.begin(machine.host, user="", command="", changes=(), files={})
        machine.journal.intend(machine.host, 1, planned.steps[0].resource)
        with pytest.raises(Killed):
            from tljh.base.progress import SilentProgress

            planned.steps[0].resource.apply(machine.host, SilentProgress())
    finally:
        machine.host.dies_at = None


def test_a_first_install_makes_an_environment_and_a_second_finds_nothing_to_do(machine):
    plan = machine.apply(machine.environment("boat"))
    assert "2 packages" in plan.as_text()
    assert machine.installed() == {"boat": "2.0", "river": "2.0"}
    assert not machine.plan(machine.environment("boat"))
    assert machine.leftovers() == []


def test_planning_writes_nothing(machine):
    assert machine.plan(machine.environment("boat"))
    assert not machine.user.exists()
    assert machine.leftovers() == []


def test_an_environment_is_readable_by_all_and_writable_by_none_but_its_owner(machine):
    old = os.umask(0o077)
    try:
        machine.apply(machine.environment("boat", "ferry"))
    finally:
        os.umask(old)
    for path in machine.user.rglob("*"):
        info = path.lstat()
        if not stat.S_ISLNK(info.st_mode):
            assert info.st_mode & 0o022 == 0, path
            assert info.st_mode & 0o444 == 0o444, path
            assert info.st_uid == os.geteuid(), path
    assert not (machine.user / "CACHEDIR.TAG").exists()


def test_condas_history_names_the_packages_and_the_specs(machine):
    machine.apply(machine.environment("boat==1.0"))
    history = (machine.user / "conda-meta" / "history").read_text()
    assert "/noarch::boat-1.0-0\n" in history
    assert "# update specs: ['boat==1.0']" in history
    record = json.loads((machine.user / "conda-meta" / "boat-1.0-0.json").read_text())
    assert record["requested_specs"] == ["boat ==1.0"]


def test_python_commands_and_byte_code_name_the_final_place(machine):
    machine.apply(machine.environment("ferry", "python"))
    ran = subprocess.run([machine.user / "bin/ferry"], capture_output=True, text=True, check=True)
    assert ran.stdout == "ferry 2.0\n"
    (library,) = (machine.user / "lib").glob("python3.*")
    (compiled,) = (library / "site-packages/ferry/__pycache__").glob("*.pyc")
    assert os.fsencode(machine.user / "lib") in compiled.read_bytes()
    assert os.fsencode(machine.paths.versions) not in compiled.read_bytes()
    assert list(library.glob("__pycache__/os.*.pyc"))
    program = "import sys; print(sys.prefix == sys.base_prefix, sys.prefix)"
    command = [machine.user / "bin/python", "-c", program]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert answer == f"True {machine.user}\n"


@pytest.mark.parametrize("package", ["ferry", "barge"])
def test_byte_code_of_an_old_version_never_runs_for_a_new_one_of_the_same_size_and_time(
    machine, package
):
    machine.apply(machine.environment(f"{package}==1.0"))
    machine.apply(machine.environment(f"{package}==2.0"))
    code = {"ferry": "import ferry; ferry.main()", "barge": "import barge; print(barge.VERSION)"}
    command = [machine.user / "bin/python", "-c", code[package]]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.split()[-1] == "2.0"


def test_an_update_leaves_the_replaced_environment_and_keeps_what_admins_added(machine):
    machine.apply(machine.environment("river==1.0", "anchor"))
    (machine.user / "etc").mkdir()
    (machine.user / "etc/site.conf").write_text("ours")
    before = machine.contents()
    plan = machine.apply(machine.environment("river==1.1"))
    assert "~ river 1.0 -> 1.1" in plan.as_text()
    assert machine.installed() == {"river": "1.1", "anchor": "1.0"}
    assert (machine.user / "etc/site.conf").read_text() == "ours"
    assert contents(machine.paths.replaced_user(2)) == before


def test_editing_the_environment_does_not_change_the_replaced_one(machine):
    machine.apply(machine.environment("river==1.0"))
    machine.apply(machine.environment("river==1.1", "boat==1.0"))
    replaced = machine.paths.replaced_user(2)
    before = contents(replaced)
    with (machine.user / "conda-meta/history").open("a") as history:
        history.write("more\n")
    assert contents(replaced) == before


def test_an_update_that_ends_in_bad_health_brings_the_old_environment_back(machine):
    machine.apply(machine.environment("river==1.0"))
    before = machine.contents()
    with pytest.raises(TljhError, match="does not answer"):
        machine.apply(machine.environment("river==2.0", "ferry"), health=fail)
    assert machine.contents() == before
    assert machine.leftovers() == []


def test_a_first_install_that_ends_in_bad_health_leaves_nothing(machine):
    with pytest.raises(TljhError):
        machine.apply(machine.environment("boat"), health=fail)
    assert not machine.user.exists()
    assert machine.leftovers() == []


@pytest.mark.parametrize("step", range(5))
def test_killed_in_an_update_at_any_step_the_next_run_converges(machine, step):
    machine.apply(machine.environment("river==1.0", "python"))
    before = machine.contents()
    steps = 4  # copying, linking, compiling, putting in place
    if step < steps:
        break_off(machine, step, "river==2.0", "python")
    else:
        with pytest.raises(TljhError):
            machine.apply(machine.environment("river==2.0", "python"), health=fail)
    machine.recover()
    assert machine.contents() == before
    machine.apply(machine.environment("river==2.0", "python"))
    assert machine.installed()["river"] == "2.0"
    assert not machine.plan(machine.environment("river==2.0", "python"))


@pytest.mark.parametrize("step", range(2))
def test_killed_in_a_first_install_the_next_run_converges(machine, step):
    break_off(machine, step, "boat")
    machine.apply(machine.environment("boat"))
    assert machine.installed() == {"boat": "2.0", "river": "2.0"}
    assert machine.leftovers() == []


def test_specs_that_exclude_each_other_are_refused_before_anything_is_changed(machine):
    with pytest.raises(TljhError) as refused:
        machine.apply(machine.environment("anchor", "boat==2.0"))
    assert "river" in str(refused.value)
    assert not machine.user.exists()


def test_a_package_that_no_channel_has_is_named(machine):
    with pytest.raises(TljhError) as refused:
        machine.apply(machine.environment("anchor", "nosuch"))
    assert "no channel has nosuch (channels: " in str(refused.value)
    assert "--conda-channel" in str(refused.value)


def test_an_update_that_an_admins_pin_forbids_is_refused(machine):
    machine.apply(machine.environment("anchor"))
    (machine.user / "conda-meta/pinned").write_text("anchor ==1.0\nriver <2\n")
    with pytest.raises(TljhError) as refused:
        machine.apply(machine.environment("river==2.0"))
    assert "river" in str(refused.value)
    assert machine.installed() == {"anchor": "1.0", "river": "1.1"}


def test_an_unreachable_channel_is_named_with_the_way_to_another(make_machine):
    machine = make_machine(["http://127.0.0.1:9/forge"])
    with pytest.raises(TljhError) as refused:
        machine.plan(machine.environment("river"))
    text = str(refused.value)
    assert "http://127.0.0.1:9/forge" in text
    assert "--conda-channel" in text


def test_a_password_in_a_channel_is_not_shown(make_machine):
    machine = make_machine(["http://me:hunter2@127.0.0.1:9/forge"])
    with pytest.raises(TljhError) as refused:
        machine.plan(machine.environment("river"))
    assert "hunter2" not in str(refused.value)


def test_the_first_channel_wins_and_the_second_fills_in(make_machine, tiny, more):
    machine = make_machine([tiny, more])
    machine.apply(machine.environment("river", "bridge"))
    assert machine.installed() == {"river": "2.0", "bridge": "1.0"}


def test_a_channel_over_http_serves_like_one_on_disk(make_machine, tiny):
    handler = functools.partial(QuietHandler, directory=tiny)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        machine = make_machine([f"http://127.0.0.1:{server.server_port}"])
        machine.apply(machine.environment("boat"))
        server.shutdown()
    assert machine.installed() == {"boat": "2.0", "river": "2.0"}


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def vanished(package: Path) -> None:
    package.unlink()


def cut_off(package: Path) -> None:
    package.write_bytes(package.read_bytes()[: package.stat().st_size // 2])


def tampered(package: Path) -> None:
    with zipfile.ZipFile(package, "a") as archive:
        archive.writestr("more", b"")


@pytest.mark.parametrize("damage", [vanished, cut_off, tampered])
def test_a_damaged_package_stops_the_update_and_the_rerun_works(
    make_machine, channel_copy, tiny, damage
):
    machine = make_machine([channel_copy])
    machine.apply(machine.environment("river==1.0"))
    before = machine.contents()
    damage(channel_copy / "noarch" / "boat-2.0-0.conda")
    with pytest.raises(TljhError, match=r"boat-2\.0"):
        machine.apply(machine.environment("river==2.0", "boat"))
    assert machine.contents() == before
    good = (tiny / "noarch" / "boat-2.0-0.conda").read_bytes()
    (channel_copy / "noarch" / "boat-2.0-0.conda").write_bytes(good)
    machine.apply(machine.environment("river==2.0", "boat"))
    assert machine.installed() == {"boat": "2.0", "river": "2.0"}


def test_a_script_of_a_package_that_fails_after_linking_stops_the_install(machine):
    with pytest.raises(TljhError, match="lock"):
        machine.apply(machine.environment("lock"))
    assert not machine.user.exists()


def test_records_as_conda_writes_them_are_understood(machine):
    machine.apply(machine.environment("ferry==1.0"))
    path = machine.user / "conda-meta" / "ferry-1.0-py_0.json"
    record = json.loads(path.read_text())
    (library,) = (machine.user / "lib").glob("python3.*")
    installed = f"lib/{library.name}/site-packages/"
    for entry in record["paths_data"]["paths"]:
        entry["_path"] = entry["_path"].replace(installed, "site-packages/")
    assert "site-packages/ferry" in json.dumps(record["paths_data"])
    path.write_text(json.dumps(record))
    machine.apply(machine.environment("ferry==2.0"))
    assert not list(library.glob("site-packages/ferry-1.0.dist-info"))
    assert (library / "site-packages/ferry-2.0.dist-info").is_dir()


def test_where_directories_cannot_be_exchanged_the_environment_is_replaced_by_steps(
    tmp_path, monkeypatch
):
    prefix, other = tmp_path / "user", tmp_path / "user-2"
    _tree(prefix, "old")
    _tree(other, "new")
    monkeypatch.setattr(trees, "_exchange", _refuse)
    trees.commit(prefix, other)
    assert (prefix / "what").read_text() == "new"
    assert (other / "what").read_text() == "old"
    trees.revert({"prefix": str(prefix), "other": str(other), "existed": True})
    assert (prefix / "what").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["user"]


@pytest.mark.parametrize("number", range(6))
def test_killed_while_replacing_by_steps_the_old_environment_comes_back(
    tmp_path, monkeypatch, number
):
    prefix, other = tmp_path / "user", tmp_path / "user-2"
    _tree(prefix, "old")
    _tree(other, "new")
    before = contents(prefix)
    effects = 0

    def counted(real):  # type: ignore[no-untyped-def]
        def effect(*arguments, **options):  # type: ignore[no-untyped-def]
            nonlocal effects
            if effects == number:
                raise Killed(str(arguments))
            effects += 1
            return real(*arguments, **options)

        return effect

    with monkeypatch.context() as patch:
        patch.setattr(trees, "_exchange", _refuse)
        patch.setattr(Path, "rename", counted(Path.rename))
        patch.setattr(trees.shutil, "rmtree", counted(trees.shutil.rmtree))
        patch.setattr(trees, "copy_tree", counted(trees.copy_tree))
        with pytest.raises(Killed):
            trees.commit(prefix, other)
    request = {"prefix": str(prefix), "other": str(other), "existed": True}
    trees.revert(request)
    assert contents(prefix) == before
    assert [path.name for path in tmp_path.iterdir()] == ["user"]


def _refuse(first: Path, second: Path) -> None:
    raise OSError(18, "Invalid cross-device link", str(first))


def _tree(root: Path, text: str) -> None:
    root.mkdir()
    (root / "what").write_text(text)


def test_one_replaced_environment_stays_for_a_rollback(machine):
    for version in ("1.0", "1.1", "2.0"):
        machine.apply(machine.environment(f"river=={version}"))
    place = machine.paths.replaced_user(3)
    assert machine.leftovers() == [place.name, f"{place.name}.inode"]


def test_a_worker_that_dies_is_reported_with_its_last_output(machine, monkeypatch):
    monkeypatch.setattr(
        engine, "build_worker_command", lambda: ["sh", "-c", "echo so long >&2; exit 9"]
    )
    with pytest.raises(TljhError, match="so long"):
        machine.plan(machine.environment("river"))


def test_conda_gets_its_own_prefix_and_changes_the_user_environment(make_machine, tiny, more):
    machine = make_machine([tiny, more])
    configuration = build_conda_configuration(machine.channels, Config())
    tools = CondaTools(machine.paths, machine.channels, configuration)
    resources = machine.environment("river"), tools
    machine.apply(*resources)
    wrapper = machine.user / "bin/conda"
    recorder = machine.paths.hub / "bin/tljh"
    recorder.parent.mkdir(parents=True)
    recorder.write_text('#!/bin/sh\necho "$@" >> "$0.log"\n')
    recorder.chmod(0o755)
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [wrapper, "install", "x y"], env=environment, capture_output=True, text=True, check=False
    )
    if os.geteuid() == 0:
        assert done.stdout == f"{machine.user} install x y\n"
        log = recorder.with_name("tljh.log").read_text()
        assert log == "env record\nenv record conda install x y\n"
    else:
        assert done.returncode == 1 and "sudo" in done.stderr
    for words in (["list"], ["install", "--dry-run", "x"], ["install", "-n", "mine", "x"]):
        subprocess.run([wrapper, *words], env=environment, capture_output=True, check=True)
    assert not recorder.with_name("tljh.log").exists() or log == (
        recorder.with_name("tljh.log").read_text()
    )
    with_prefix = subprocess.run(
        [wrapper], env={**environment, "CONDA_PREFIX": "/mine"}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert with_prefix.stdout.strip() == "/mine"
    condarc = machine.paths.conda / ".condarc"
    assert str(more) in condarc.read_text()
    assert not machine.plan(*resources)
    proxy = load(b"user_environment: {proxy: 'http://me:pw@p.example.org:3128'}")
    proxied = replace(tools, configuration=build_conda_configuration(machine.channels, proxy))
    machine.apply(proxied)
    assert "https: http://p.example.org:3128" in condarc.read_text()
    assert not machine.plan(proxied)
    with pytest.raises(TljhError):
        machine.apply(tools, health=fail)
    assert "p.example.org" in condarc.read_text()
    condarc.write_text("channels: [mine]\n")
    assert not machine.plan(tools)
    wrapper.write_text("#!/bin/sh\n")
    assert "wrappers: conda" in machine.plan(*resources).as_text()


def test_channels_without_conda_are_noted_once(machine):
    tools = CondaTools(machine.paths, machine.channels)
    plan = machine.apply(machine.environment("river"), tools)
    assert "left out: no conda in" in plan.as_text()
    assert not machine.plan(tools)
    for name in ("conda", "mamba"):
        done = subprocess.run(
            [machine.user / "bin" / name, "install", "x"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1 and "sudo tljh env install NAME" in done.stderr
    # An environment that was taken over may have its conda.
    (machine.user / "bin/conda").write_text("#!/bin/sh\n")
    assert not machine.plan(tools)


def test_a_rolled_back_install_removes_condas_prefix_and_commands(make_machine, tiny, more):
    machine = make_machine([tiny, more])
    with pytest.raises(TljhError):
        machine.apply(
            machine.environment("river"), CondaTools(machine.paths, machine.channels), health=fail
        )
    assert not machine.paths.conda.exists()
    assert not machine.user.exists()


def test_a_newer_version_that_an_admin_installed_is_left_alone(machine):
    machine.apply(machine.environment("river==2.0"))
    assert not machine.plan(machine.environment(RequiredPackage("river", "==1.1", at_least="1.1")))


def test_a_first_environment_is_built_before_its_turn_and_exchanged_in_it(machine):
    building = machine.paths.versions / f"{BUILDING}user"

    def look() -> None:
        wait_until((building / MARKER).exists)
        assert not machine.user.exists()

    machine.converge(machine.environment("boat", "python"), meanwhile=look)
    assert machine.installed()["boat"] == "2.0"
    assert machine.leftovers() == []
    machine.converge(machine.environment("boat", "python"))
    assert machine.journal.numbers(machine.host) == [1]


def test_a_build_for_a_change_that_is_refused_leaves_nothing(machine):
    with pytest.raises(TljhError):
        machine.converge(machine.environment("boat", "python"), meanwhile=fail)
    assert not machine.user.exists()
    assert machine.leftovers() == []


def test_an_existing_environment_is_not_built_before_its_turn(machine):
    machine.converge(machine.environment("river==1.0", "python"))

    def look() -> None:
        assert machine.leftovers() == []

    machine.converge(machine.environment("river==2.0", "python"), meanwhile=look)
    assert machine.installed()["river"] == "2.0"
    assert machine.paths.replaced_user(2).is_dir()


def test_a_failure_of_a_build_before_its_turn_is_reported_in_its_turn(make_machine, channel_copy):
    machine = make_machine([channel_copy])
    planned = machine.plan(machine.environment("boat"))
    tampered(channel_copy / "noarch" / "boat-2.0-0.conda")
    with pytest.raises(TljhError, match=r"boat-2\.0"):
        machine.carry_out(planned)
    assert not machine.user.exists()
    # The next attempt needs the downloads again.
    assert machine.leftovers() == [".packages"]


DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.conda.conftest import DyingHost, Machine
from tljh.base.paths import Paths
machine = Machine(Paths(Path(sys.argv[2])), DyingHost(), (sys.argv[3],))
getattr(machine, sys.argv[4])(machine.environment("boat", "python"))
"""


def members(session: int) -> list[int]:
    """Return the pids of a session's processes that still run."""
    pids = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                pids.append(int(path.name))
    return pids


@pytest.mark.parametrize(
    ("way", "place"), [("apply", ".replaced-user-1"), ("converge", f"{BUILDING}user")], ids=str
)
def test_a_killed_command_takes_its_worker_along_and_the_next_run_converges(
    machine, tiny, way, place
):
    command = [sys.executable, "-c", DRIVER, str(CHECKOUT), str(machine.paths.prefix), str(tiny)]
    command.append(way)
    started = machine.paths.versions / place / "conda-meta"
    with subprocess.Popen(command, start_new_session=True) as driver:
        wait_until(started.is_dir)
        driver.kill()
    wait_until(lambda: not members(driver.pid))
    assert not machine.user.exists()
    machine.converge(machine.environment("boat", "python"))
    assert machine.installed()["boat"] == "2.0"
    assert machine.leftovers() == []


def wait_until(condition: Callable[[], bool], deadline_s: float = 60) -> None:
    end_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_s, "the condition did not hold before the deadline"
        time.sleep(0.01)
