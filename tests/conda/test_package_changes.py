"""Changes of packages: planned, made through the engine, checked, and undone where that fails."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.installer.conftest import make_wheel
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.conda.environment import RequiredPackage
from tljh.conda.package_changes import (
    Action,
    PackagePlan,
    PackageRequest,
    list_packages,
    plan_changes,
    search_packages,
)
from tljh.conda.snapshots import read_snapshots
from tljh.conda.worker import checking
from tljh.operations.env_changes import change
from tljh.operations.installed_environment import PackageSources

from .conftest import DyingHost, Machine

REQUIRED = (RequiredPackage("python"), RequiredPackage("ferry", "==1.0", at_least="1.0"))


@pytest.fixture(autouse=True)
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve raft 1.0 and 1.1 and ferry 1.5 and 3.0 as the only packages that uv finds."""
    folder = tmp_path / "links"
    folder.mkdir()
    for name, version in (("raft", "1.0"), ("raft", "1.1"), ("ferry", "1.5"), ("ferry", "3.0")):
        file, data = make_wheel(name, version, {f"{name}/__init__.py": b""})
        (folder / file).write_bytes(data)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def with_environment(root: Path, channel: Path) -> Machine:
    """Return a machine with python, ferry 1.0 and river 1.0 in its environment."""
    paths = Paths(root / "tljh")
    for directory in (paths.prefix, paths.versions, paths.state_dir):
        directory.mkdir(parents=True, exist_ok=True)
    machine = Machine(paths, DyingHost(), (str(channel),))
    machine.apply(machine.environment("python", "ferry==1.0", "river==1.0"))
    return machine


@pytest.fixture
def shared(tmp_path: Path, tiny: Path) -> Machine:
    return with_environment(tmp_path, tiny)


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Machine:
    """Return a machine that all tests share, because a plan changes nothing."""
    return with_environment(tmp_path_factory.mktemp("planner"), tiny)


def plan_on(machine: Machine, action: Action, *specs: str, pip: bool = False) -> PackagePlan:
    request = PackageRequest(action, specs, is_pip=pip)
    return plan_changes(machine.host, machine.paths, request, machine.channels, REQUIRED)


def make(
    machine: Machine, planned: PackagePlan, check: Callable[..., None] = lambda *_: None
) -> int:
    sources = PackageSources(machine.channels, REQUIRED)
    return change(machine.host, machine.paths, planned, sources, SilentProgress(), check)


def changes_of(planned: PackagePlan) -> list[str]:
    return [re.sub(r"  .*", "", change.as_text()) for change in planned.changes]


def test_a_plan_has_the_package_with_its_needs_and_changes_no_other(planner):
    before = planner.contents()
    planned = plan_on(planner, "install", "boat")
    assert changes_of(planned) == ["+ boat 1.0"]
    assert planned.changes[0].download > 0
    assert changes_of(plan_on(planner, "install", "boat=2.0")) == [
        "+ boat 2.0",
        "~ river 1.0 -> 2.0",
    ]
    assert not plan_on(planner, "install", "river")
    assert planner.contents() == before


def test_an_update_takes_the_newest_versions_that_fit(planner):
    assert changes_of(plan_on(planner, "update", "river")) == ["~ river 1.0 -> 2.0"]
    everything = plan_on(planner, "update")
    assert changes_of(everything) == ["~ ferry 1.0 -> 2.0", "~ river 1.0 -> 2.0"]


@pytest.mark.parametrize("name", ["python", "ferry"])
def test_what_servers_need_cannot_be_removed(planner, name):
    with pytest.raises(TljhError, match=r"ferry.*cannot be removed"):
        plan_on(planner, "remove", name)


@pytest.mark.parametrize("is_pip", [False, True])
def test_what_servers_need_is_not_replaced_by_an_older_version(planner, is_pip):
    required = (RequiredPackage("ferry", "==1.0", at_least="1.0"),)
    spec = "ferry<1.0"
    request = PackageRequest("install", (spec,), is_pip=is_pip)
    with pytest.raises(TljhError):
        plan_changes(planner.host, planner.paths, request, planner.channels, required)


@pytest.mark.parametrize("action", ["remove", "update"])
def test_a_package_that_is_not_installed_is_named(planner, action):
    with pytest.raises(TljhError, match="boat is not installed"):
        plan_on(planner, action, "boat")


def test_a_search_finds_parts_of_names_with_the_newest_version_first(planner):
    rows = search_packages(planner.host, planner.paths, "r", planner.channels, 50)
    assert {"name": "river", "versions": ["2.0", "1.1", "1.0"]} in rows
    rows = search_packages(planner.host, planner.paths, "anchor", planner.channels, 50)
    assert [row["name"] for row in rows] == ["anchor"]
    assert search_packages(planner.host, planner.paths, "zzz", planner.channels, 50) == []


def test_a_change_is_in_the_histories_and_a_failed_check_undoes_it(shared):
    outdated = plan_on(shared, "install", "anchor")
    number = make(shared, plan_on(shared, "install", "boat"))
    assert shared.installed()["boat"] == "1.0"
    last = read_snapshots(shared.host, shared.paths.versions)[-1]
    assert (last.number, last.command, last.changes, last.is_good) == (
        *(number, "env install boat", ("+ boat 1.0",)),
        True,
    )
    assert "# update specs: ['boat']" in (shared.user / "conda-meta/history").read_text()
    before = shared.contents()

    def fail(*_: Any) -> None:
        raise TljhError("the single-user server does not start")

    with pytest.raises(TljhError, match="does not start"):
        make(shared, plan_on(shared, "remove", "boat"), fail)
    assert shared.contents() == before
    with pytest.raises(TljhError, match="has changed since this was planned"):
        make(shared, outdated)
    assert shared.contents() == before
    assert [s.number for s in read_snapshots(shared.host, shared.paths.versions)] == [1, 2]


def test_removing_takes_what_needs_the_package_and_what_nothing_needs_any_more(shared):
    make(shared, plan_on(shared, "install", "boat"))
    assert changes_of(plan_on(shared, "remove", "river")) == ["- boat 1.0", "- river 1.0"]
    # An admin asked for river, so it stays.
    assert changes_of(plan_on(shared, "remove", "boat")) == ["- boat 1.0"]
    make(shared, plan_on(shared, "remove", "river"))
    assert "# remove specs: ['boat', 'river']" in (shared.user / "conda-meta/history").read_text()
    make(shared, plan_on(shared, "install", "boat"))
    planned = plan_on(shared, "remove", "boat")
    assert changes_of(planned) == ["- boat 2.0", "- river 2.0"]
    assert planned.changes[0].freed > 1000


def test_pip_installs_updates_and_removes_with_a_plan_too(shared):
    planned = plan_on(shared, "install", "raft<1.1", pip=True)
    assert changes_of(planned) == ["+ raft 1.0"]
    make(shared, planned)
    packages = list_packages(shared.host, shared.paths)
    assert ("raft", "pip") in [(row["name"], row["channel"]) for row in packages]
    with pytest.raises(TljhError) as by_conda:
        plan_on(shared, "remove", "raft")
    assert by_conda.value.findings[0].fix == "run the command again with --pip"
    planned = plan_on(shared, "update", pip=True)
    assert changes_of(planned) == ["~ raft 1.0 -> 1.1"]
    make(shared, planned)
    planned = plan_on(shared, "remove", "raft", pip=True)
    assert changes_of(planned) == ["- raft 1.1"]
    make(shared, planned)
    assert not list(shared.user.rglob("raft*"))


def test_the_plan_names_what_pip_shadows_and_what_conda_replaces(shared):
    planned = plan_on(shared, "install", "ferry==3.0", pip=True)
    assert planned.shadowed == ("ferry",)
    assert any("ferry" in warning for warning in planned.warnings)
    make(shared, planned)
    # conda's record still has 1.0.
    planned = plan_on(shared, "update", "ferry")
    assert planned.replaced_from_pip == ("ferry",)
    make(shared, planned)
    assert [p.name for p in shared.user.rglob("ferry-*.dist-info")] == ["ferry-2.0.dist-info"]


def test_pip_does_not_remove_what_conda_installed(planner):
    request = PackageRequest("remove", ("ferry",), is_pip=True)
    with pytest.raises(TljhError) as by_pip:
        plan_changes(planner.host, planner.paths, request, planner.channels, ())
    assert by_pip.value.findings[0].fix == "run the command again without --pip"


# What `checking` needs from an environment: a Python and the program of the server.
SERVER = """
    import http.server, os, urllib.request
    urllib.request.urlopen(os.environ["JUPYTERHUB_API_URL"]).read()
    port = int(os.environ["JUPYTERHUB_SERVICE_URL"].split(":")[2].split("/")[0])
    open(os.path.expanduser("~/can-write"), "w")
    Handler = http.server.SimpleHTTPRequestHandler
    http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def check(machine: Machine, **more: object) -> list[dict[str, str]]:
    from tljh.conda.engine import find_uv

    fields = {"prefix": str(machine.user), "uv": find_uv(), "known": [], "modules": ["ferry"]}
    return list(checking.check({**fields, **more})["problems"])


@pytest.fixture
def with_server(planner: Machine) -> Iterator[Machine]:
    # The account of the check must reach the environment.
    for directory in planner.user.parents:
        if directory.stat().st_uid == os.geteuid() and directory != Path("/"):
            directory.chmod(directory.stat().st_mode | 0o055)
    program = planner.user / "bin/jupyterhub-singleuser"
    program.write_text(textwrap.dedent(SERVER))
    yield planner
    program.unlink()


def test_an_environment_in_which_a_server_starts_has_no_problem(with_server):
    assert check(with_server) == []


def test_a_server_that_does_not_start_is_reported_with_its_last_words(with_server):
    program = with_server.user / "bin/jupyterhub-singleuser"
    program.write_text("raise SystemExit('no extension')")
    (problem,) = check(with_server)
    assert "does not start" in problem["what"] and problem["why"] == "no extension"


def test_a_module_that_cannot_be_imported_is_reported_with_its_reason(with_server):
    (problem,) = check(with_server, modules=["ferry", "bridge"])
    assert problem["why"] == "ModuleNotFoundError: No module named 'bridge'"


def test_requirements_that_are_not_met_are_problems_unless_they_were_before(with_server):
    (info,) = with_server.user.rglob("ferry-1.0.dist-info")
    with (info / "METADATA").open("a") as stream:
        stream.write("Requires-Dist: rudder>=2\n")
    (problem,) = check(with_server)
    assert "rudder" in problem["why"]
    assert check(with_server, known=[problem["why"]]) == []
