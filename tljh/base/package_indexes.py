"""Where packages come from: what pip's configuration and the environment say, for us and uv.

uv reads neither pip.conf nor PIP_*, and the bootstrap has to fetch uv itself first. So the
settings of pip that decide what can be reached are read here once, and handed to both.
"""

from __future__ import annotations

import configparser
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DEFAULT_INDEX = "https://pypi.org/simple"


@dataclass(frozen=True)
class Sources:
    """The package indexes, in pip's terms; `index` is None where only find-links may be used."""

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


def pip_configuration_files(environ: Mapping[str, str]) -> list[Path]:
    """pip's configuration files, the later ones winning; as pip documents them."""
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
    chosen = environ.get("PIP_CONFIG_FILE")
    if chosen:
        # os.devnull switches all of them off.
        return [] if chosen == "/dev/null" else [*files, Path(chosen)]
    return files


def read_pip_configuration(files: Sequence[Path]) -> dict[str, str]:
    """The settings of [global] and [install] in `files`, by their pip names."""
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


def sources_from(environ: Mapping[str, str], configuration: Mapping[str, str]) -> Sources:
    """Merge pip's environment variables over its files, and uv's own over both."""

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
    index, *extra_urls = (_without_name(url) for url in (index or "", *extra))
    links = environ.get("UV_FIND_LINKS", "").replace(",", " ").split()
    timeout = setting("default-timeout") or setting("timeout")
    return Sources(
        index=index or None,
        extra_indexes=tuple(extra_urls),
        find_links=tuple(links) or words("find-links"),
        certificate=environ.get("SSL_CERT_FILE")
        or setting("cert")
        or environ.get("REQUESTS_CA_BUNDLE")
        or environ.get("CURL_CA_BUNDLE")
        or None,
        proxy=setting("proxy") or None,
        trusted_hosts=words("trusted-host"),
        timeout_s=float(timeout) if timeout.replace(".", "", 1).isdecimal() else 15.0,
    )


def _without_name(url: str) -> str:
    name, equals, rest = url.partition("=")
    return rest if equals and "://" in rest and "/" not in name else url


def environment_for_uv(sources: Sources, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that make uv reach what pip would reach; those already set win."""
    wanted: dict[str, str] = {
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "UV_HTTP_TIMEOUT": str(max(30, int(sources.timeout_s))),
    }
    if sources.index and sources.index != DEFAULT_INDEX:
        wanted["UV_DEFAULT_INDEX"] = sources.index
    if sources.extra_indexes:
        wanted["UV_INDEX"] = " ".join(sources.extra_indexes)
    if sources.find_links:
        wanted["UV_FIND_LINKS"] = ",".join(sources.find_links)
    if sources.index is None:
        wanted["UV_NO_INDEX"] = "1"
    if sources.certificate:
        wanted["SSL_CERT_FILE"] = sources.certificate
    elif not environ.get("SSL_CERT_DIR"):
        # Without it uv trusts only the list that it carries, not what the machine trusts.
        wanted["UV_SYSTEM_CERTS"] = "1"
    if sources.proxy:
        wanted.update(HTTPS_PROXY=sources.proxy, HTTP_PROXY=sources.proxy)
    if sources.trusted_hosts:
        wanted["UV_INSECURE_HOST"] = " ".join(sources.trusted_hosts)
    return {**wanted, **{name: value for name, value in environ.items() if name in wanted}}


def split_specs(text: str) -> list[str]:
    """What TLJH_BOOTSTRAP_PIP_SPEC holds: one or more arguments, quoted as in a shell."""
    return shlex.split(text)
