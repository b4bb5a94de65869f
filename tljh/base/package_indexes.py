"""Package indexes as pip's configuration and the environment set them, for the bootstrap and uv.

uv reads neither pip.conf nor PIP_*, and the bootstrap has to download uv itself first. So pip's
settings about indexes, proxies and certificates are read here, and passed to both.
"""

from __future__ import annotations

import configparser
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DEFAULT_INDEX = "https://pypi.org/simple"
# Names of variables that a bootstrap gets from the settings of a hub, and does not keep.
SETTINGS_VARIABLE = "TLJH_SETTINGS_VARIABLES"
# The only locked package without a wheel on PyPI; its build requirement is locked, too.
SOURCE_ONLY = "onetimepass"


@dataclass(frozen=True)
class PackageIndexes:
    """Package indexes and how to reach them, in pip's terms; no `index` means find-links only."""

    index: str | None = DEFAULT_INDEX
    extra_indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    certificate: str | None = None
    proxy: str | None = None
    trusted_hosts: tuple[str, ...] = ()
    timeout_s: float = 15.0

    @property
    def indexes(self) -> tuple[str, ...]:
        return ((self.index,) if self.index else ()) + self.extra_indexes


def find_pip_configuration_files(environ: Mapping[str, str]) -> list[Path]:
    """Return pip's configuration files in pip's documented order; later files win."""
    home = Path(environ.get("HOME") or "/root")
    directories = [
        Path(directory) / "pip"
        for directory in reversed((environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"))
        if directory
    ]
    files = [directory / "pip.conf" for directory in directories]
    files.append(Path("/etc/pip.conf"))
    files.append(home / ".pip" / "pip.conf")
    files.append(Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf")
    extra_file = environ.get("PIP_CONFIG_FILE")
    if extra_file:
        # pip's documented way to switch all configuration files off.
        return [] if extra_file == "/dev/null" else [*files, Path(extra_file)]
    return files


def read_pip_configuration(files: Sequence[Path]) -> dict[str, str]:
    """Return the settings of [global] and [install] by pip's names; skip unreadable files."""
    settings: dict[str, str] = {}
    for file in files:
        reader = configparser.RawConfigParser(strict=False)
        try:
            reader.read_string(file.read_text())
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue
        for section in ("global", "install"):
            if reader.has_section(section):
                settings.update(
                    {name.replace("_", "-"): value for name, value in reader.items(section)}
                )
    return settings


def read_package_indexes(
    environ: Mapping[str, str], configuration: Mapping[str, str]
) -> PackageIndexes:
    """Return the package indexes that pip and uv are configured with.

    pip's variables win over its configuration files, and uv's own variables over both.
    """

    def setting(name: str) -> str:
        variable = "PIP_" + name.upper().replace("-", "_")
        return (environ.get(variable) or configuration.get(name) or "").strip()

    def words(name: str) -> tuple[str, ...]:
        return tuple(setting(name).split())

    uv_index = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL") or ""
    uv_extra = environ.get("UV_INDEX") or environ.get("UV_EXTRA_INDEX_URL") or ""
    index: str | None = uv_index or setting("index-url") or DEFAULT_INDEX
    extra = tuple(uv_extra.split()) or words("extra-index-url")
    if setting("no-index").lower() in ("1", "true", "yes", "on"):
        index, extra = None, ()
    # UV_INDEX may name its indexes: name=https://...
    index, *extra_urls = (_remove_name(url) for url in (index or "", *extra))
    uv_links = environ.get("UV_FIND_LINKS", "").replace(",", " ").split()
    timeout = setting("default-timeout") or setting("timeout")
    return PackageIndexes(
        index=index or None,
        extra_indexes=tuple(extra_urls),
        find_links=tuple(uv_links) or words("find-links"),
        certificate=environ.get("SSL_CERT_FILE")
        or setting("cert")
        or environ.get("REQUESTS_CA_BUNDLE")
        or environ.get("CURL_CA_BUNDLE")
        or None,
        proxy=setting("proxy") or None,
        trusted_hosts=words("trusted-host"),
        timeout_s=float(timeout) if timeout.replace(".", "", 1).isdecimal() else 15.0,
    )


def _remove_name(url: str) -> str:
    name, equals, rest = url.partition("=")
    return rest if equals and "://" in rest and "/" not in name else url


def build_uv_environment(sources: PackageIndexes, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make uv use pip's indexes; variables already set win."""
    variables: dict[str, str] = {
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "UV_HTTP_TIMEOUT": str(max(30, int(sources.timeout_s))),
    }
    if sources.index and sources.index != DEFAULT_INDEX:
        variables["UV_DEFAULT_INDEX"] = sources.index
    if sources.extra_indexes:
        variables["UV_INDEX"] = " ".join(sources.extra_indexes)
    if sources.find_links:
        variables["UV_FIND_LINKS"] = ",".join(sources.find_links)
    if sources.index is None:
        variables["UV_NO_INDEX"] = "1"
    if sources.certificate:
        variables["SSL_CERT_FILE"] = sources.certificate
    elif not environ.get("SSL_CERT_DIR"):
        # Without it uv trusts only its built-in certificates, not those that the machine trusts.
        variables["UV_SYSTEM_CERTS"] = "1"
    if sources.proxy:
        variables.update(HTTPS_PROXY=sources.proxy, HTTP_PROXY=sources.proxy)
    if sources.trusted_hosts:
        variables["UV_INSECURE_HOST"] = " ".join(sources.trusted_hosts)
    already_set = {name: value for name, value in environ.items() if name in variables}
    return {**variables, **already_set}


def split_specs(text: str) -> list[str]:
    """Split TLJH_BOOTSTRAP_PIP_SPEC into pip arguments; quoting is that of a shell."""
    return shlex.split(text)
