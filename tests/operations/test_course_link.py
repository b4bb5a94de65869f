"""Links of nbgitpuller: their parts, and what real repositories say of them."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import Paths
from tljh.host.fake import FakeHost
from tljh.host.interface import FileInfo, Response, Result, UserInfo
from tljh.host.real import RealReader
from tljh.operations.course_link import CheckedLink, LinkRequest, build_url_path, make_link

PATHS = Paths()
SITE = PATHS.user / "lib/python3.12/site-packages"


class GitHost(FakeHost):
    """A machine in memory on which git and the directories of repositories are real."""

    def query(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = 30,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> Result:
        if "git" in argv:
            return RealReader().query(argv, timeout_s=timeout_s, env=env)
        return super().query(argv, timeout_s=timeout_s, env=env, stdin=stdin)

    def info(self, path: Path, *, follow: bool = False) -> FileInfo | None:
        if path.is_relative_to(Paths.shared_folders.parent):
            return RealReader().info(path, follow=follow)
        return super().info(path, follow=follow)

    def remove(self, path: Path) -> None:
        if path == Paths.link_trial:
            shutil.rmtree(path, ignore_errors=True)
        else:
            super().remove(path)

    def user(self, name: str) -> UserInfo | None:
        return RealReader().user(name)


@pytest.fixture
def srv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the parent of shared folders, with a repository that its users can read."""
    place = tmp_path / "srv"
    monkeypatch.setattr(Paths, "shared_folders", place / "shared")
    monkeypatch.setattr(Paths, "link_trial", tmp_path / "trial")
    repository = place / "shared" / "course" / "lessons"
    repository.mkdir(parents=True)
    (repository / "week 1").mkdir()
    (repository / "week 1" / "first.ipynb").write_text("{}")
    (repository / "README.md").write_text("# Lessons")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-qb", "main"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=repository, check=True)
    subprocess.run(["git", "branch", "exam"], cwd=repository, check=True)
    for path in (tmp_path, *tmp_path.parents[:2], *place.rglob("*"), place):
        if path.stat().st_uid == os.getuid() and path.is_dir():
            path.chmod(0o755)
    return place


@pytest.fixture
def host(srv: Path) -> GitHost:
    host = GitHost()
    for path in (
        PATHS.config_dir,
        PATHS.user / "conda-meta",
        *(SITE / f"{name}-1.2.dist-info" for name in NAMES),
    ):
        for directory in (*reversed(path.parents), path):
            if host.info(directory) is None:
                host.mkdir(directory, mode=0o755)
    host.symlink(PATHS.hub, "versions/hub-1")
    host.write(PATHS.config_file, b"http: {port: 8000}\n", mode=0o600)
    host.answers["ip -4"] = Result(0, "192.0.2.1 via 10.0.0.1 dev eth0 src 10.0.0.7 uid 0")
    host.responses["http://127.0.0.1:8000/hub/user-redirect/git-pull"] = Response(302)
    return host


NAMES = ("nbgitpuller", "jupyterlab", "notebook")


def repository(srv: Path) -> str:
    return str(srv / "shared/course/lessons")


def test_a_link_opens_the_file_of_the_branch(host, srv):
    link = make_link(host, PATHS, LinkRequest(repository(srv), None, "week 1/first.ipynb"))
    parts = urlsplit(link.url)
    assert parts.geturl().startswith("http://10.0.0.7:8000/hub/user-redirect/git-pull?")
    assert parse_qs(parts.query) == {
        "repo": [repository(srv)],
        "branch": ["main"],
        "urlpath": ["lab/tree/lessons/week%201/first.ipynb"],
    }
    assert link.unchecked == ()
    assert link.checked == (
        "nbgitpuller 1.2 is in the user environment",
        "the repository has the branch main",
        "all users of this machine can read the repository",
        "the branch has week 1/first.ipynb",
        "the hub answers, and asks for a login first",
    )


@pytest.mark.parametrize(
    ("request_", "what", "fix"),
    [
        (LinkRequest("", "exams"), "has no branch exams", "--branch exam"),
        (LinkRequest("", "exam", "first.ipynb"), "has no file first.ipynb", "week 1/first.ipynb"),
        (LinkRequest("", "exam", "../x"), "a file of the repository is needed", ""),
        (LinkRequest("", app="labb"), "there is no app 'labb'", "--app lab"),
    ],
)
def test_what_is_missing_is_named_with_the_nearest(host, srv, request_, what, fix):
    request = LinkRequest(repository(srv), request_.branch, request_.file, request_.app)
    with pytest.raises(TljhError) as error:
        make_link(host, PATHS, request)
    assert what in str(error.value) and fix in str(error.value)


def test_a_directory_of_the_repository_is_fine(host, srv):
    link = make_link(host, PATHS, LinkRequest(repository(srv), "exam", "week 1/"))
    assert link.url.endswith("urlpath=lab%2Ftree%2Flessons%2Fweek%25201")


def test_a_repository_that_only_its_owner_can_open_is_refused(host, srv):
    (srv / "shared/course").chmod(0o700)
    with pytest.raises(TljhError, match=f"only {pwd.getpwuid(os.getuid()).pw_name} can open"):
        make_link(host, PATHS, LinkRequest(repository(srv)))


def test_members_of_a_folders_group_are_named(host, srv):
    (srv / "shared/course").chmod(0o770)
    link = make_link(host, PATHS, LinkRequest(repository(srv)))
    assert any("members of the group" in line for line in link.checked)


def test_a_directory_without_a_repository_is_refused(host, srv):
    with pytest.raises(TljhError, match="there is no repository at"):
        make_link(host, PATHS, LinkRequest(str(srv / "shared")))
    with pytest.raises(TljhError, match="there is no repository at"):
        make_link(host, PATHS, LinkRequest("/none/of/it"))


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("https://me:ghp_secret@github.com/me/course", "a user or a token"),
        ("git@github.com:me/course.git", "no SSH key"),
        ("ssh://git@github.com/me/course", "no SSH key"),
        ("course", "not the address"),
        ("ext::sh -c id", "not the address"),
        ("ext::id", "not the address"),
        ("--upload-pack=id", "not the address"),
        ("https://", "not the address"),
    ],
)
def test_an_address_that_students_cannot_use_is_refused(host, address, what):
    with pytest.raises(TljhError, match=what) as error:
        make_link(host, PATHS, LinkRequest(address))
    assert error.value.exit_code == Exit.USAGE
    assert "secret" not in str(error.value)


def test_a_server_that_does_not_answer_is_reported_and_the_link_printed(host):
    request = LinkRequest("http://127.0.0.1:9/course", "main", "a.ipynb", "notebook")
    link = make_link(host, PATHS, request)
    assert "branch=main" in link.url and link.url.endswith("notebooks%2Fcourse%2Fa.ipynb")
    (line,) = link.unchecked
    assert "http://127.0.0.1:9/course cannot be reached from here" in line


def test_a_hub_that_does_not_answer_is_reported(host, srv):
    host.responses.clear()
    link = make_link(host, PATHS, LinkRequest(repository(srv)))
    assert any("git-pull does not answer as it should" in line for line in link.unchecked)


def test_a_hub_that_listens_on_one_address_is_asked_there(host, srv):
    host.write(PATHS.config_file, b"http: {port: 8000, address: 10.0.0.7}\n", mode=0o600)
    host.responses = {"http://10.0.0.7:8000/hub/user-redirect/git-pull": Response(302)}
    assert make_link(host, PATHS, LinkRequest(repository(srv))).unchecked == ()


def test_an_environment_without_nbgitpuller_is_named(host, srv):
    host.remove(SITE / "nbgitpuller-1.2.dist-info")
    with pytest.raises(TljhError, match="nbgitpuller is not in the user environment"):
        make_link(host, PATHS, LinkRequest(repository(srv)))


def test_a_switched_off_nbgitpuller_is_named(host, srv):
    text = b"user_environment: {server_extensions: {nbgitpuller: false}}\n"
    host.write(PATHS.config_file, text, mode=0o600)
    with pytest.raises(TljhError, match="switched off for all users"):
        make_link(host, PATHS, LinkRequest(repository(srv)))


@pytest.fixture
def served(srv: Path) -> Iterator[str]:
    """Serve the repositories by git's own server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["git", "daemon", "--export-all", f"--port={port}", "--listen=127.0.0.1"]
    command += ["--reuseaddr", f"--base-path={srv}", "--informative-errors"]
    environment = {**os.environ, "GIT_CONFIG_COUNT": "0"}
    with subprocess.Popen(command, env=environment) as server:
        try:
            end_s = time.monotonic() + 20
            while time.monotonic() < end_s:
                with socket.socket() as client:
                    if client.connect_ex(("127.0.0.1", port)) == 0:
                        break
            yield f"git://127.0.0.1:{port}"
        finally:
            server.terminate()


def test_a_server_is_asked_for_branch_and_file(host, srv, served):
    address = f"{served}/shared/course/lessons"
    link: CheckedLink = make_link(host, PATHS, LinkRequest(address, "exam", "README.md"))
    assert "the branch has README.md" in link.checked and link.unchecked == ()
    with pytest.raises(TljhError, match="has no file READ"):
        make_link(host, PATHS, LinkRequest(address, "exam", "READ"))
    assert not Paths.link_trial.exists()


@pytest.mark.parametrize(
    ("app", "file", "expected"),
    [
        ("lab", "", "lab/tree/r"),
        ("notebook", "", "tree/r"),
        ("notebook", "a/b.ipynb", "notebooks/r/a/b.ipynb"),
        ("notebook", "a/b.py", "edit/r/a/b.py"),
        ("/rstudio", "a.R", "rstudio/"),
    ],
)
def test_each_app_opens_files_in_its_own_way(app, file, expected):
    assert build_url_path(app, LinkRequest("https://x.org/r"), file) == expected
