"""The settings of this computer with which a machine reaches the same registries.

Package indexes, proxies, certificate authorities and apt's settings are read from this
computer; the project contains none.
"""

from __future__ import annotations

import configparser
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

# The path of the bundle in a machine: Debian and Ubuntu have the same.
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
LOCAL_CERTIFICATES = Path("/usr/local/share/ca-certificates")

CERTIFICATE_NAMES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PLAIN_NAMES = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "PIP_DEFAULT_TIMEOUT",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_HTTP_TIMEOUT",
    "TLJH_CONDA_CHANNELS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)


def pip_config_files() -> list[Path]:
    return [
        Path("/etc/pip.conf"),
        Path.home() / ".pip/pip.conf",
        Path.home() / ".config/pip/pip.conf",
    ]


def pip_settings(files: list[Path], environment: Mapping[str, str]) -> dict[str, str]:
    """Return pip's settings as PIP_* variables; the environment wins over the files."""
    variables: dict[str, str] = {}
    for file in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(file)
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                for key, value in parser.items(section):
                    variables["PIP_" + key.upper().replace("-", "_")] = " ".join(value.split())
    variables.update({k: v for k, v in environment.items() if k.startswith("PIP_")})
    return variables


def only_remote(value: str) -> str:
    """Remove the file:// indexes, which a machine does not have."""
    return " ".join(word for word in value.split() if not word.startswith(("file:", "/")))


def registry_environment(
    environment: Mapping[str, str] | None = None, files: list[Path] | None = None
) -> dict[str, str]:
    """Return the variables with which pip, uv and requests work in a machine as they do here."""
    if environment is None:
        environment = os.environ
    settings = {**pip_settings(pip_config_files() if files is None else files, environment)}
    settings.update(environment)
    variables = {}
    for name in PLAIN_NAMES:
        value = settings.get(name, "")
        if "INDEX" in name:
            value = only_remote(value)
        if value:
            variables[name] = value
    if any(settings.get(name) for name in CERTIFICATE_NAMES):
        variables.update(dict.fromkeys(CERTIFICATE_NAMES, BUNDLE))
    return variables


def certificates() -> dict[str, bytes]:
    """Return {file name: PEM} of the authorities that this computer trusts additionally."""
    authorities = {}
    if LOCAL_CERTIFICATES.is_dir():
        for file in sorted(LOCAL_CERTIFICATES.rglob("*.crt")):
            authorities[file.name] = file.read_bytes()
    # A bundle elsewhere, for example a company's.
    bundle = os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
    if bundle and bundle != BUNDLE and Path(bundle).is_file():
        text = Path(bundle).read_text(errors="replace")
        pattern = "-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?"
        for number, block in enumerate(re.findall(pattern, text, re.DOTALL)):
            authorities[f"computer-{number:03}.crt"] = block.encode()
    return authorities


def apt_settings() -> str:
    """Return this computer's proxy and date settings of apt, as a file for apt.conf.d."""
    try:
        dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True).stdout
    except OSError:
        return ""
    keep = re.compile(r"^Acquire::(https?::proxy|https?::CaInfo|Check-(Valid-Until|Date))\b", re.I)
    lines = [line for line in dump.splitlines() if keep.match(line) and '""' not in line]
    return "".join(f"{line}\n" for line in lines)


def apt_mirrors(root: Path = Path("/etc/apt")) -> dict[str, str]:
    """Return this computer's mirrors of debian, debian-security and ubuntu: {name: URI}."""
    mirrors = {
        "debian": "http://deb.debian.org/debian",
        "debian-security": "http://deb.debian.org/debian-security",
        "ubuntu": "http://archive.ubuntu.com/ubuntu",
    }
    files = [root / "sources.list"]
    if (root / "sources.list.d").is_dir():
        directory = root / "sources.list.d"
        files += sorted([*directory.glob("*.list"), *directory.glob("*.sources")])
    for file in files:
        if not file.is_file():
            continue
        for line in file.read_text(errors="replace").splitlines():
            match = re.match(r"(?:URIs:|deb\s+(?:\[[^]]*\]\s+)?)\s*(\S+)", line.strip())
            if not match:
                continue
            uri = match[1].rstrip("/")
            kind = uri.rsplit("/", 1)[-1]
            # security.ubuntu.com has the security updates only.
            if kind in mirrors and "security.ubuntu.com" not in uri:
                mirrors[kind] = uri
    return mirrors


def apt_sources(suite: str, distribution: str, mirrors: Mapping[str, str] | None = None) -> str:
    """Return a machine's sources.list, with this computer's mirrors.

    Args:
        suite: code name of the release, such as `bookworm`.
        distribution: `debian` or `ubuntu`.
        mirrors: as `apt_mirrors` returns them, by default.
    """
    if mirrors is None:
        mirrors = apt_mirrors()
    main = mirrors[distribution]
    if distribution == "ubuntu":
        # A cloud image of Ubuntu has universe. Ubuntu's archive contains its security updates too.
        security, components = main, "main universe"
    else:
        security, components = mirrors["debian-security"], "main"
    return (
        f"deb {main} {suite} {components}\n"
        f"deb {main} {suite}-updates {components}\n"
        f"deb {security} {suite}-security {components}\n"
    )
