"""Configuration of pip and conda in users' terminals: the sources of packages, no secrets."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from tljh.base.paths import Paths
from tljh.conda.environment_files import MARK, EnvironmentFile
from tljh.engine.file_resources import Absent, File
from tljh.engine.resource import Difference, Resource
from tljh.host.interface import HostReader
from tljh.settings.yaml_text import format_flow

if TYPE_CHECKING:
    from tljh.settings.root import Config
    from tljh.settings.sections.user_environment import UserEnvironmentSettings

_HEADER = "# Written by tljh, from user_environment in config.yaml."


@dataclass(frozen=True)
class NoFileOfOurs(Absent):
    """No file of tljh at a path; another program's file there stays."""

    kind: ClassVar[str] = "no-file"

    def difference(self, host: HostReader) -> Difference | None:
        if MARK not in (host.read(self.path) or b""):
            return None
        return super().difference(host)


def build_pip_resource(paths: Paths, config: Config) -> Resource:
    """Return pip's configuration for all users, which their own files win over."""
    text = format_pip_configuration(config.user_environment)
    if text is None:
        return NoFileOfOurs(paths.pip_configuration)
    return EnvironmentFile(paths.pip_configuration, text.encode())


def format_pip_configuration(settings: UserEnvironmentSettings) -> str | None:
    """Return the text of pip.conf; None if pip's own defaults hold."""
    lines = []
    if settings.pip.index_url:
        lines.append(f"index-url = {settings.pip.index_url}")
    if settings.pip.extra_index_urls:
        lines.append("extra-index-url =")
        lines += [f"    {url}" for url in settings.pip.extra_index_urls]
    if settings.proxy:
        lines.append(f"proxy = {remove_login(settings.proxy)}")
    if settings.ca_bundle:
        lines.append(f"cert = {settings.ca_bundle}")
    if not lines:
        return None
    return "\n".join([_HEADER, "[global]", *lines, ""])


def build_root_resources(paths: Paths, config: Config) -> list[Resource]:
    """Return the logins that root's pip and conda use, in files for root alone."""
    settings = config.user_environment
    variables = {}
    proxy_file: Resource = Absent(paths.root_condarc)
    if settings.credentials_file:
        variables["NETRC"] = settings.credentials_file
    if settings.proxy and remove_login(settings.proxy) != settings.proxy:
        # pip's configuration and conda's name the proxy without its login. These win over them.
        variables |= {"PIP_PROXY": settings.proxy, "CONDARC": str(paths.root_condarc)}
        proxy = format_flow(settings.proxy)
        text = f"{_HEADER}\nproxy_servers:\n  http: {proxy}\n  https: {proxy}\n"
        proxy_file = File(paths.root_condarc, text.encode(), mode=0o600, secret=True)
    if not variables:
        return [Absent(paths.root_variables), proxy_file]
    # Read by a shell and by `tljh/conda/worker/record_pip.py`. The caller's own variables win.
    lines = [
        f'[ "${{{name}+x}}" ] || export {name}={quote(value)}' for name, value in variables.items()
    ]
    text = "\n".join([_HEADER, *lines, ""])
    return [File(paths.root_variables, text.encode(), mode=0o600, secret=True), proxy_file]


def build_conda_configuration(channels: tuple[str, ...], config: Config) -> bytes:
    """Return the text of conda's `.condarc` in conda's own prefix."""
    settings = config.user_environment
    lines = ["channels:", *(f"  - {channel}" for channel in channels)]
    if settings.proxy:
        proxy = format_flow(remove_login(settings.proxy))
        lines += ["proxy_servers:", f"  http: {proxy}", f"  https: {proxy}"]
    if settings.ca_bundle:
        lines.append(f"ssl_verify: {format_flow(settings.ca_bundle)}")
    return "\n".join(lines).encode()


def remove_login(url: str) -> str:
    """Return a URL without the user and password in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
