"""pip requirements in the user environment, and what pip and conda do to each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.installer.conftest import make_wheel
from tljh.base.errors import TljhError
from tljh.conda.environment import RequiredPackage
from tljh.conda.requirements import read_requirements
from tljh.conda.worker.pip_changes import format_constraints, parse_changes, run_uv
from tljh.host.fake import FakeHost
from tljh.host.interface import FileInfo, Response

from .conftest import Machine

FERRY = RequiredPackage("ferry", "==2.0", at_least="2.0")
BASE = ("python", FERRY)


@pytest.fixture(autouse=True)
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Serve raft 1.0 and 1.1 and ferry 1.5 and 3.0 as the only packages that uv finds."""
    folder = tmp_path / "links"
    folder.mkdir()
    for name, version in (("raft", "1.0"), ("raft", "1.1"), ("ferry", "1.5"), ("ferry", "3.0")):
        code = f"def main():\n    print('{name} {version}')\n".encode()
        entry = f"[console_scripts]\n{name} = {name}:main\n".encode()
        files = {
            f"{name}/__init__.py": code,
            f"{name}-{version}.dist-info/entry_points.txt": entry,
        }
        file, data = make_wheel(name, version, files)
        (folder / file).write_bytes(data)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def output_of(machine: Machine, command: str) -> str:
    path = machine.user / "bin" / command
    return subprocess.run([path], capture_output=True, text=True, check=True).stdout.strip()


def pip_install(machine: Machine, requirement: str) -> None:
    """Install as an admin does, without tljh."""
    uv = Path(sys.executable).with_name("uv")
    command = [uv, "pip", "install", "-q", "--python", machine.user / "bin/python", requirement]
    command += ["--no-index", "--find-links", machine.user.parents[1] / "links"]
    subprocess.run(command, check=True)


def dist_infos(machine: Machine, name: str) -> list[str]:
    return sorted(path.name for path in machine.user.rglob(f"{name}-*.dist-info"))


def test_requirements_are_installed_once_and_their_commands_run(machine):
    environment = machine.environment(*BASE, requirements=("raft==1.0",))
    assert "pip requirements (1)" in machine.apply(environment).as_text()
    assert output_of(machine, "raft") == "raft 1.0"
    assert not machine.plan(environment)
    assert not machine.plan(machine.environment(*BASE))


def test_new_requirements_are_rolled_back_where_the_hub_fails(machine):
    machine.apply(machine.environment(*BASE, requirements=("raft==1.0",)))
    before = machine.contents()

    def fail() -> None:
        raise TljhError("the hub does not answer")

    more = machine.environment(*BASE, requirements=("raft==1.0", "raft>=1.1"))
    with pytest.raises(TljhError):
        machine.apply(more, health=fail)
    assert machine.contents() == before
    again = machine.environment(*BASE, requirements=("raft>=1.1",))
    machine.apply(again)
    assert output_of(machine, "raft") == "raft 1.1"
    assert not machine.plan(again)


def test_a_requirement_that_does_not_exist_is_refused_in_uvs_words(machine):
    machine.apply(machine.environment(*BASE))
    before = machine.contents()
    with pytest.raises(TljhError, match="no-such-thing"):
        machine.apply(machine.environment(*BASE, requirements=("no-such-thing",)))
    assert machine.contents() == before


def test_a_requirement_may_not_break_what_servers_need(machine):
    with pytest.raises(TljhError, match="ferry"):
        machine.apply(machine.environment(*BASE, requirements=("ferry==1.5",)))


def test_a_newer_version_by_pip_is_left_alone(machine):
    machine.apply(machine.environment(*BASE))
    pip_install(machine, "ferry==3.0")
    assert output_of(machine, "ferry") == "ferry 3.0"
    assert not machine.plan(machine.environment(*BASE))


def test_an_older_version_that_pip_put_over_condas_gives_way(machine):
    machine.apply(machine.environment(*BASE))
    pip_install(machine, "ferry==1.5")
    plan = machine.apply(machine.environment(*BASE))
    assert "conda's ferry replaces pip's" in plan.as_text()
    assert output_of(machine, "ferry") == "ferry 2.0"
    assert dist_infos(machine, "ferry") == ["ferry-2.0.dist-info"]
    assert not machine.plan(machine.environment(*BASE))


def test_conda_packages_that_arrive_over_pips_leave_one_set_of_metadata(machine):
    machine.apply(machine.environment("python"))
    pip_install(machine, "ferry==1.5")
    machine.apply(machine.environment(*BASE))
    assert output_of(machine, "ferry") == "ferry 2.0"
    assert dist_infos(machine, "ferry") == ["ferry-2.0.dist-info"]


def test_requirements_come_from_a_file_or_from_a_url_with_redirects():
    host = FakeHost()
    host.write(Path("/opt/r.txt"), b"raft\n", mode=0o644)
    redirect = Response(302, headers={"Location": "/there.txt"})
    host.responses = {
        "https://x.example/r.txt": redirect,
        "https://x.example/there.txt": Response(200, "boat\n"),
    }
    assert read_requirements(host, None) == ()
    assert read_requirements(host, "/opt/r.txt") == ("raft\n",)
    assert read_requirements(host, "https://x.example/r.txt") == ("boat\n",)


@pytest.mark.parametrize("source", ["/no/such.txt", "https://x.example/gone.txt"])
def test_requirements_that_cannot_be_read_are_named(source):
    with pytest.raises(TljhError, match=source):
        read_requirements(FakeHost(), source)


def test_references_of_a_requirements_file_are_relative_to_that_file():
    text = "numpy\n-r base.txt\n--constraint=more/limits.txt\n-r https://y.example/z.txt\n-cc.txt\n"
    directories = ("/opt", "https://x.example/a")
    answers = {
        f"{directories[1]}/{name}": "six" for name in ("base.txt", "more/limits.txt", "c.txt")
    }
    answers |= {f"{directories[1]}/r.txt": text, "https://y.example/z.txt": "raft"}
    host = FakeHost(responses={url: Response(200, text) for url, text in answers.items()})
    for url, content in answers.items():
        if url.startswith(directories[1]):
            path = Path(url.replace(directories[1], "/opt"))
            host.files[path] = (FileInfo("file", 0o644, "root", "root"), content.encode())
    for directory in directories:
        assert read_requirements(host, f"{directory}/r.txt") == (
            f"numpy\nsix\n--constraint={directory}/more/limits.txt\nraft\n-c{directory}/c.txt\n",
        )


def test_a_change_from_a_file_or_url_is_read_before_uv_has_it_in_its_cache():
    output = """
Would install 3 packages
 - six==1.16.0
 + six==1.17.0
 + oar @ file:///srv/oar-1.0-py3-none-any.whl
 + course @ git+https://example.org/course@main
"""
    rows = parse_changes(output)
    assert [(row["name"], row["old"], row["new"]) for row in rows] == [
        ("course", None, "git+https://example.org/course@main"),
        ("oar", None, "1.0"),
        ("six", "1.16.0", "1.17.0"),
    ]
    assert format_constraints(rows) == ["oar==1.0", "six==1.17.0"]


def test_no_user_can_open_the_lock_that_uv_makes_in_the_temporary_directory() -> None:
    """uv names it after the environment, so that a user could make and hold it before."""
    output = run_uv(["sh", "-c", 'stat --format="%n %a" "$TMPDIR"'], "")
    directory, mode = output.split()
    assert mode == "700"
    assert not Path(directory).exists()
