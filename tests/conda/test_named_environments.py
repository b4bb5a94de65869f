"""Named environments: created by the real worker, shown as kernels, gone back in, deleted."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.installer.conftest import make_wheel
from tljh.base.errors import Exit, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.conda.checks import CHECKS
from tljh.conda.named_environments import check_name, format_jupyter_path, list_environments
from tljh.conda.package_changes import PackageRequest, plan_changes
from tljh.conda.snapshots import read_snapshots
from tljh.operations import env_history, named_environments
from tljh.operations.env_changes import change
from tljh.operations.installed_environment import PackageSources
from tljh.operations.named_environments import NewEnvironment
from tljh.plugins.checks import CheckedMachine

from .conftest import Killed, Machine

pytestmark = pytest.mark.usefixtures("links")

KERNEL = {"argv": ["python", "-m", "oar", "{connection_file}"], "display_name": "Oar"}


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve a distribution that brings two kernels as the only package that uv finds."""
    folder = tmp_path / "links"
    folder.mkdir()
    kernels = {
        f"oar-1.0.data/data/share/jupyter/kernels/{name}/kernel.json": json.dumps(
            {**KERNEL, "language": language}
        ).encode()
        for name, language in (("python3", "python"), ("ir", "R"))
    }
    file, data = make_wheel("oar", "1.0", {"oar/__init__.py": b"", **kernels})
    (folder / file).write_bytes(data)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


@pytest.fixture
def hub(machine: Machine) -> Machine:
    """Return a machine that passes for one with a hub."""
    machine.paths.config_dir.mkdir()
    machine.paths.config_file.write_text("users: {extra_user_groups: {rowers: [ann]}}\n")
    (machine.paths.versions / "hub-1").mkdir()
    machine.paths.hub.symlink_to("versions/hub-1")
    return machine


@pytest.fixture
def requirements(tmp_path: Path) -> str:
    file = tmp_path / "requirements.txt"
    file.write_text("oar==1.0\n")
    return str(file)


def nothing(*_: object) -> None:
    """Check nothing: the tiny channel has no Jupyter."""


def create(
    hub: Machine, request: NewEnvironment, check: Callable[..., None] = nothing
) -> named_environments.NamedEnvironment:
    sources = PackageSources(hub.channels, ())
    planned = named_environments.plan_creation(hub.host, hub.paths, request, sources)
    return named_environments.create(hub.host, hub.paths, planned, SilentProgress(), check)


def kernel(hub: Machine, place: str, name: str) -> dict[str, object]:
    file = hub.paths.kernels / place / "kernels" / name / "kernel.json"
    spec: dict[str, object] = json.loads(file.read_text())
    return spec


def published(hub: Machine) -> list[str]:
    return sorted(str(p.parent.relative_to(hub.paths.kernels)) for p in _files(hub.paths.kernels))


def _files(directory: Path) -> list[Path]:
    return list(directory.rglob("kernel.json"))


def test_an_environment_is_shown_to_all_as_kernels_and_has_a_snapshot(hub, requirements):
    created = create(hub, NewEnvironment("boats", ("river=1.0",), file=requirements))
    prefix = hub.paths.environments / "boats"
    assert created.kernels == ("boats", "boats.ir") and created.groups == ("",)
    spec = kernel(hub, "all", "boats")
    assert spec["argv"][0] == str(prefix / "bin/python")
    assert spec["display_name"] == "Python (boats)"
    assert spec["env"]["CONDA_PREFIX"] == str(prefix)
    assert kernel(hub, "all", "boats.ir")["display_name"] == "R (boats)"
    output = subprocess.run(
        [spec["argv"][0], "-c", "import oar, sys; print(sys.prefix)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert output.strip() == str(prefix)
    snapshots = read_snapshots(hub.host, hub.paths.of_environment("boats").versions)
    assert [(s.number, s.command, s.is_good) for s in snapshots] == [(1, "env create boats", True)]
    assert list_environments(hub.host, hub.paths) == ["boats"]


def test_members_of_groups_alone_get_the_place_of_their_kernels(hub, requirements):
    create(hub, NewEnvironment("boats", file=requirements, groups=("rowers", "a/b"), title="Row"))
    assert published(hub) == [
        "group-a%2Fb/kernels/boats",
        "group-a%2Fb/kernels/boats.ir",
        "group-rowers/kernels/boats",
        "group-rowers/kernels/boats.ir",
    ]
    assert kernel(hub, "group-rowers", "boats")["display_name"] == "Python (Row)"
    of_member = format_jupyter_path(hub.paths, ["rowers", "a/b"], "/own").split(":")
    assert of_member == [
        "/own",
        *(str(hub.paths.kernels / name) for name in ("all", "group-a%2Fb", "group-rowers")),
    ]
    assert format_jupyter_path(hub.paths, []) == str(hub.paths.kernels / "all")
    unknown = named_environments.find_unknown_groups(hub.host, hub.paths, ["rowers", "a/b"])
    assert unknown == ["a/b"]
    shared = named_environments.share(hub.host, hub.paths, "boats", [""], "", SilentProgress())
    assert shared.groups == ("",) and shared.title == "Row"
    assert published(hub) == ["all/kernels/boats", "all/kernels/boats.ir"]


def test_packages_change_and_go_back_in_a_named_environment_alone(hub, requirements):
    hub.apply(hub.environment("python", "river==2.0"))
    create(hub, NewEnvironment("boats", ("river=1.0",), file=requirements))
    paths = hub.paths.of_environment("boats")
    sources = PackageSources(hub.channels, ())
    request = PackageRequest("install", ("river=1.1",))
    planned = plan_changes(hub.host, paths, request, hub.channels, ())
    assert change(hub.host, paths, planned, sources, SilentProgress(), nothing) == 2
    version = paths.user / "share/river/version"
    assert version.read_text() == "1.1\n"
    assert hub.installed()["river"] == "2.0"
    back = env_history.plan_rollback(hub.host, paths, "1")
    assert env_history.rollback(hub.host, paths, back.target, SilentProgress()) == 3
    assert version.read_text() == "1.0\n"
    assert published(hub) == ["all/kernels/boats", "all/kernels/boats.ir"]


def test_an_environment_that_fails_its_check_leaves_nothing(hub, requirements):
    def fail(*_: object) -> None:
        raise TljhError("it does not work")

    with pytest.raises(TljhError, match="it does not work"):
        create(hub, NewEnvironment("boats", file=requirements), fail)
    assert _leftovers(hub) == []
    create(hub, NewEnvironment("boats", file=requirements))


def _leftovers(hub: Machine) -> list[str]:
    names = ["environments", "versions/environments", "jupyter/kernels/all/kernels"]
    return [
        str(path) for name in names for path in (hub.paths.prefix / name).glob("*") if path.is_dir()
    ]


def test_an_environment_without_a_kernel_is_refused(hub):
    with pytest.raises(TljhError, match="has no kernel that users could start"):
        create(hub, NewEnvironment("boats", ("river",)))
    assert _leftovers(hub) == []


@pytest.mark.parametrize("dies_at", [0, 1, 3])
def test_a_killed_creation_is_undone_by_the_next_command(hub, requirements, dies_at):
    hub.host.dies_at = dies_at
    with pytest.raises(Killed):
        create(hub, NewEnvironment("boats", file=requirements))
    hub.host.dies_at = None
    hub.recover()
    assert list_environments(hub.host, hub.paths) == []
    assert create(hub, NewEnvironment("boats", file=requirements)).packages > 0


def test_a_deleted_environment_is_gone_with_kernels_and_snapshots(hub, requirements):
    create(hub, NewEnvironment("boats", file=requirements))
    named_environments.delete(hub.host, hub.paths, "boats", SilentProgress())
    assert _leftovers(hub) == [] and published(hub) == []
    with pytest.raises(TljhError, match="there is no environment boats"):
        named_environments.delete(hub.host, hub.paths, "boats", SilentProgress())


def test_an_existing_environment_is_not_created_again(hub, requirements):
    create(hub, NewEnvironment("boats", file=requirements))
    with pytest.raises(TljhError, match="there is an environment boats already"):
        create(hub, NewEnvironment("boats"))


def test_an_environment_file_chooses_packages_of_conda_and_pip(hub, tmp_path):
    file = tmp_path / "environment.yml"
    file.write_text("dependencies: [python, river=1.1, {pip: [oar]}]\nchannels: [nodefaults]\n")
    create(hub, NewEnvironment("boats", file=str(file)))
    prefix = hub.paths.environments / "boats"
    assert (prefix / "share/river/version").read_text() == "1.1\n"


def test_a_version_of_python_that_no_channel_has_is_named(hub):
    with pytest.raises(TljhError, match=r"python"):
        create(hub, NewEnvironment("boats", python="3.5"))
    with pytest.raises(TljhError, match="is no version of Python"):
        create(hub, NewEnvironment("boats", python="three"))


@pytest.mark.parametrize(
    "name",
    ["python3", "base", "user", "", "Boats", "a b", "../x", "-x", "a.b", "é", "a" * 33, "a/b"],
)
def test_wrong_and_reserved_names_are_refused_with_a_sentence(name):
    with pytest.raises(TljhError, match="an environment cannot be called") as error:
        check_name(name)
    assert error.value.exit_code == Exit.USAGE and error.value.findings[0].fix


def test_status_finds_a_damaged_environment(hub, requirements):
    create(hub, NewEnvironment("boats", ("river=1.0",), file=requirements))
    (look,) = (check.quick_look for check in CHECKS if check.name == "named environments")
    subject = CheckedMachine(hub.host, hub.paths, None, None)
    assert look is not None and list(look(subject)) == []
    (hub.paths.environments / "boats/share/river/version").unlink()
    ((_, finding),) = look(subject)
    assert finding.what == "the environment boats is damaged: conda's river lacks 1 file"
    assert finding.fix == "sudo tljh env repair --env boats"


def test_paths_of_an_environment_share_the_package_cache():
    paths = Paths()
    named = paths.of_environment("boats")
    assert named.package_cache == paths.package_cache
    assert named.snapshot_store != paths.snapshot_store
    assert named.environment_lock != paths.environment_lock
    assert named.of_environment("") == paths
