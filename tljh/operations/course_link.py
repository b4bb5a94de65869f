"""A link of nbgitpuller: made from its parts, and checked as far as this machine can reach."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING
from urllib.parse import quote as quote_path
from urllib.parse import urlencode, urlsplit

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import Paths, get_paths
from tljh.conda.environment import read_environment
from tljh.host.interface import Host, HostReader, Result
from tljh.hub.health import get_health_urls
from tljh.operations.installed_config import load_configuration, read_installed_configuration
from tljh.operations.public_address import find_public_url
from tljh.settings.keys import find_nearest
from tljh.settings.package_variables import read_package_variables

if TYPE_CHECKING:
    from tljh.settings.root import Config

# The apps that open a file, by the names that the command and the configuration take.
APPS = {"lab": "lab", "jupyterlab": "lab", "notebook": "notebook", "classic": "notebook"}
PACKAGES = {"lab": "jupyterlab", "notebook": "notebook"}

# git asks a server for its branches, then for the newest commit without its history.
GIT_TIMEOUT_S = 60

_SCP_ADDRESS = re.compile(r"^[\w.-]+@[\w.-]+:(?!//)")


@dataclass(frozen=True)
class LinkRequest:
    """What a link opens: a file (or directory) of a branch of a repository, in an app.

    `app` is a name of `APPS`, or the path of another app, such as /rstudio.
    """

    repository: str
    branch: str | None = None
    file: str = ""
    app: str = ""

    @property
    def folder(self) -> str:
        """The folder of the home that nbgitpuller copies the repository to."""
        return self.repository.rstrip("/").rpartition("/")[2]


@dataclass(frozen=True)
class CheckedLink:
    """A link, what was seen to be true of it, and what could not be checked."""

    url: str
    branch: str | None
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]


@dataclass
class _Report:
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)


def make_link(host: Host, paths: Paths, request: LinkRequest) -> CheckedLink:
    """Return the link, checked. Raises TljhError for what students could not open.

    What this machine cannot reach is no mistake: it is reported as not checked.
    """
    config = load_configuration(host, paths, read_installed_configuration(host, paths))
    _check_address(request)
    file = request.file.strip("/")
    if ".." in file.split("/"):
        raise TljhError(f"a file of the repository is needed, not {file}", exit_code=Exit.USAGE)
    app = choose_app(config, request)
    report = _Report()
    _check_environment(host, paths, config, app, report)
    branch = _check_branch(host, request, report)
    if branch is not None:
        _check_file(host, paths, request, branch, file, report)
    branch = branch or request.branch
    query = {"repo": request.repository}
    if branch is not None:
        query["branch"] = branch
    query["urlpath"] = build_url_path(app, request, file)
    url = f"{find_public_url(config, host)}hub/user-redirect/git-pull?{urlencode(query)}"
    _check_hub(host, config, report)
    return CheckedLink(url, branch, tuple(report.checked), tuple(report.unchecked))


def choose_app(config: Config, request: LinkRequest) -> str:
    """Return `lab`, `notebook` or the path of another app. Raises TljhError for other words."""
    app = request.app or config.user_environment.default_app
    if app in APPS:
        return APPS[app]
    if not re.fullmatch(r"/[A-Za-z0-9._~/-]+", app):
        raise TljhError(
            f"there is no app {app!r}",
            fix="run it again with: --app lab, --app notebook, or a path such as --app /rstudio",
            exit_code=Exit.USAGE,
        )
    pages = {"/lab": "lab", "/tree": "notebook"}
    return pages.get(app.rstrip("/"), app)


def build_url_path(app: str, request: LinkRequest, file: str) -> str:
    """Return the path in a user's server that opens the file, or the folder without one."""
    place = quote_path("/".join(part for part in (request.folder, file) if part))
    if app == "lab":
        return f"lab/tree/{place}"
    if app != "notebook":
        # The page of another app, such as RStudio, has no path for a file.
        return app.strip("/") + "/"
    if file.endswith(".ipynb"):
        return f"notebooks/{place}"
    return f"edit/{place}" if Path(file).suffix else f"tree/{place}"


def _check_address(request: LinkRequest) -> None:
    address = request.repository
    if address.startswith("-") or re.search(r"[\s\x00-\x1f]", address) or not request.folder:
        raise TljhError(
            f"this is not the address of a repository: {address!r}", exit_code=Exit.USAGE
        )
    if _SCP_ADDRESS.match(address) or address.startswith("ssh://"):
        raise TljhError(
            "students have no SSH key for this repository",
            fix=f"give its https address, or a directory below {Paths.shared_folders}",
            exit_code=Exit.USAGE,
        )
    parts = urlsplit(address)
    if address.startswith("/"):
        return
    if parts.scheme not in ("https", "http", "git") or not parts.hostname:
        raise TljhError(
            f"this is not the address of a repository: {address!r}",
            fix=f"give an https address, or a directory below {Paths.shared_folders}",
            exit_code=Exit.USAGE,
        )
    if parts.username or parts.password:
        raise TljhError(
            "the address has a user or a token in it",
            why="all who get the link could read it, and what it gives access to",
            fix=f"give an address that needs none, or a copy below {Paths.shared_folders}",
            exit_code=Exit.USAGE,
        )


def _check_environment(
    host: HostReader, paths: Paths, config: Config, app: str, report: _Report
) -> None:
    environment = read_environment(host, paths.user)
    version = environment.distributions.get("nbgitpuller") if environment else None
    if version is None:
        raise TljhError(
            "nbgitpuller is not in the user environment, so the link would open nothing",
            fix="sudo tljh env install nbgitpuller",
        )
    settings = config.user_environment
    if settings.server_extensions.get("nbgitpuller") is False:
        raise TljhError(
            "nbgitpuller is switched off for all users",
            fix="sudo tljh-config unset user_environment.server_extensions.nbgitpuller && "
            "sudo tljh-config reload",
        )
    report.checked.append(f"nbgitpuller {version} is in the user environment")
    if app not in PACKAGES:
        report.unchecked.append(f"whether {app} is an app of this hub, and opens the file")
        return
    if environment and PACKAGES[app] not in environment.distributions:
        raise TljhError(
            f"{PACKAGES[app]} is not in the user environment",
            fix=f"sudo tljh env install {quote(PACKAGES[app])}",
        )


def _check_branch(host: HostReader, request: LinkRequest, report: _Report) -> str | None:
    """Return the branch, by default the repository's own; None where it cannot be reached."""
    address = request.repository
    prefix = _act_as_owner(host, address)
    argv = [*prefix, "git", "ls-remote", "--symref", "--", address]
    answer = _run_git(host, argv)
    if not answer.ok:
        _report_unreachable(host, address, answer.err, report)
        return None
    heads = re.findall(r"^[0-9a-f]+\trefs/heads/(.+)$", answer.out, re.M)
    if not heads:
        raise TljhError(f"{address} has no branches", fix="push the first commit to it")
    own = re.search(r"^ref: refs/heads/(.+)\tHEAD$", answer.out, re.M)
    branch = request.branch or (own[1] if own and own[1] in heads else heads[0])
    if branch not in heads:
        near = find_nearest(branch, heads) or (own[1] if own else heads[0])
        raise TljhError(
            f"{address} has no branch {branch}",
            why=f"it has {', '.join(heads[:10])}{' and more' if len(heads) > 10 else ''}",
            fix=f"run it again with: --branch {quote(near)}",
        )
    report.checked.append(f"the repository has the branch {branch}")
    if address.startswith("/"):
        _check_readable(host, Path(address), report)
    return branch


def _report_unreachable(host: HostReader, address: str, message: str, report: _Report) -> None:
    """Report a server that does not answer; raise where an answer says what is wrong."""
    reason = next(
        (line for line in reversed(message.splitlines()) if "fatal:" in line or "error:" in line),
        message.strip().rpartition("\n")[2],
    )
    reason = reason.removeprefix("fatal: ").removeprefix("error: ").strip()
    refused = ("not found", "could not read Username", "Authentication failed", "403", "401")
    if address.startswith("/"):
        raise TljhError(
            f"there is no repository at {address}",
            why=reason,
            fix="give the directory of a git repository that students may read",
        )
    if any(word in message for word in refused):
        raise TljhError(
            f"students could not copy {address}",
            why=f"the repository does not exist, or is private: {reason}",
            fix=f"make it public, or give a copy below {Paths.shared_folders}",
        )
    report.unchecked.append(
        f"the repository, its branch and its file: {address} cannot be reached from here ({reason})"
    )


def _check_readable(host: HostReader, repository: Path, report: _Report) -> None:
    """Report who may copy a repository of this machine; raise where only its owner may."""
    root = Paths.shared_folders.parent
    if root not in repository.parents:
        raise TljhError(
            f"students cannot copy {repository}",
            why=f"git refuses repositories of other users that are not below {root}",
            fix=f"move it to a shared folder below {Paths.shared_folders}",
        )
    for path in (repository, *repository.parents):
        info = host.info(path, follow=True)
        if info is None or info.mode & 0o005 == 0o005:
            continue
        if info.mode & 0o050 != 0o050:
            raise TljhError(
                f"only {info.owner} can open {path}",
                fix=f"let students read it: sudo chmod -R a+rX {quote(str(repository))}",
            )
        report.checked.append(f"members of the group {info.group} can read the repository")
        return
    report.checked.append("all users of this machine can read the repository")


def _check_file(
    host: Host, paths: Paths, request: LinkRequest, branch: str, file: str, report: _Report
) -> None:
    if not file:
        return
    names = _list_files(host, paths, request.repository, branch)
    if names is None:
        report.unchecked.append(f"the file {file}: the content could not be fetched in time")
        return
    if file in names or any(name.startswith(f"{file}/") for name in names):
        report.checked.append(f"the branch has {file}")
        return
    near = find_nearest(file, names)
    raise TljhError(
        f"the branch {branch} of {request.repository} has no file {file}",
        why=f"it has {format_names(names)}",
        fix=f"run it again with: --file {quote(near)}" if near else "give one of its files",
    )


def format_names(names: Sequence[str], most: int = 5) -> str:
    """Return the first names, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _list_files(host: Host, paths: Paths, address: str, branch: str) -> list[str] | None:
    """Return the files of a branch; None where the server does not hand them out in time.

    Only names are fetched where the server can leave out the content.
    """
    prefix = _act_as_owner(host, address)
    if address.startswith("/"):
        done = _run_git(host, [*prefix, "git", "-C", address, *_LIST, f"refs/heads/{branch}"])
        return done.out.split("\0")[:-1] if done.ok else None
    place = paths.link_trial
    host.remove(place)
    try:
        options = ["--bare", "--depth=1", "--filter=blob:none", "--single-branch", "-q"]
        clone = ["git", "clone", *options, "--branch", branch, "--", address, str(place)]
        if not _run_git(host, clone).ok:
            return None
        done = _run_git(host, ["git", "-C", str(place), *_LIST, "HEAD"])
        return done.out.split("\0")[:-1] if done.ok else None
    finally:
        host.remove(place)


_LIST = ("ls-tree", "-r", "-z", "--name-only", "--full-tree")


def _act_as_owner(host: HostReader, address: str) -> list[str]:
    """Return the prefix of a command that runs as the owner of a repository on this machine.

    A repository can name programs that git runs. As root, these would have the whole machine.
    """
    if not address.startswith("/"):
        return []
    info = host.info(Path(address), follow=True)
    user = host.user(info.owner) if info is not None else None
    if user is None:
        raise TljhError(
            f"there is no repository at {address}",
            fix=f"give the directory of a git repository below {Paths.shared_folders}",
        )
    if user.uid == os.geteuid():
        return []
    return ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--init-groups", "--"]


def _run_git(host: HostReader, argv: Sequence[str]) -> Result:
    environment = {
        **read_package_variables(host, get_paths()),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ALLOW_PROTOCOL": "https:http:git:file",
        "HOME": "/nonexistent",
        "LC_ALL": "C",
    }
    try:
        return host.query(argv, timeout_s=GIT_TIMEOUT_S, env=environment)
    except TljhError as error:
        return Result(1, err=str(error.findings[0].what))


def _check_hub(host: HostReader, config: Config, report: _Report) -> None:
    login_page = get_health_urls(config, "").public
    url = f"{login_page.removesuffix('login')}user-redirect/git-pull"
    answer = host.http("GET", url, verify=False)
    if answer.status in (200, 302, 303, 307, 308):
        report.checked.append("the hub answers, and asks for a login first")
    else:
        report.unchecked.append(
            f"whether the hub opens it: {url} does not answer as it should "
            f"({answer.text if not answer.status else answer.status})"
        )
