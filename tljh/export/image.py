"""The image of users' servers: the user environment at the same place, from its lock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tljh.base.errors import TljhError

if TYPE_CHECKING:
    from tljh.export.hub_state import ExportedHub

# The chart's hub is of this version; a server of another one warns at each start.
HUB_VERSION = "5.5"
_CONDA = re.compile(r"^- conda: (\S+)\n((?:  .*\n)*)", re.MULTILINE)
_PYPI = re.compile(r"^- pypi: (\S+)\n((?:  .*\n)*)", re.MULTILINE)
_FIELD = r"^  {}: [\"']?([^\"'\n]+)[\"']?$"
_MD5 = re.compile(r"^  md5: ([0-9a-f]{32})$", re.MULTILINE)

_DOCKERFILE = """\
# The image of users' servers: the packages of {prefix}, at the same place.
#   docker build --tag {image} .
FROM mambaorg/micromamba:2 AS environment
USER root
COPY packages.txt requirements.txt /tmp/
RUN micromamba create --yes --prefix {prefix} --file /tmp/packages.txt && \\
    micromamba clean --all --yes
{pip}
FROM debian:{release}-slim
RUN apt-get update && \\
    apt-get install --yes --no-install-recommends ca-certificates curl git less openssh-client && \\
    rm -rf /var/lib/apt/lists/* && \\
    useradd --uid 1000 --gid users --create-home --shell /bin/bash jovyan
COPY --from=environment {prefix} {prefix}
COPY jupyter {config}
COPY pip.conf /etc/pip.conf
ENV PATH={prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    CONDA_PREFIX={prefix} \\
    CONDA_DEFAULT_ENV={prefix} \\
    MAMBA_ROOT_PREFIX={prefix} \\
    JUPYTER_CONFIG_PATH={config} \\
    HOME=/home/jovyan \\
    SHELL=/bin/bash
USER 1000
WORKDIR /home/jovyan
CMD ["jupyterhub-singleuser"]
"""
_PIP = """\
RUN {prefix}/bin/python -m pip install --no-cache-dir --no-deps -r /tmp/requirements.txt && \\
    {prefix}/bin/python -m pip install --no-cache-dir 'jupyterhub=={version}.*'
"""


def make_image_files(
    hub: ExportedHub, prefix: str, lock: str, jupyter: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Return the files that the image is built from, by name.

    `lock` is that of the environment; `jupyter` has the configuration of servers that config.yaml
    leads to, by name below its directory.
    """
    settings = hub.config.user_environment.pip
    lines = ["[global]"]
    if settings.index_url is not None:
        lines.append(f"index-url = {settings.index_url}")
    if settings.extra_index_urls:
        lines.append("extra-index-url =")
        lines += [f"    {url}" for url in settings.extra_index_urls]
    dockerfile = _DOCKERFILE.format(
        prefix=f"{prefix}/user",
        config=f"{prefix}/jupyter",
        image=hub.image,
        release="trixie",
        pip=_PIP.format(prefix=f"{prefix}/user", version=HUB_VERSION),
    )
    texts = {
        "image/Dockerfile": dockerfile,
        "image/environment.lock": lock,
        "image/packages.txt": format_packages(lock),
        "image/requirements.txt": format_requirements(lock),
        "image/pip.conf": "\n".join(lines) + "\n",
    }
    files = {name: text.encode() for name, text in texts.items()}
    # A directory without files is not copied.
    files["image/jupyter/README"] = b"Configuration of users' servers.\n"
    files |= {f"image/jupyter/{name}": data for name, data in jupyter.items()}
    return files


def format_packages(lock: str) -> str:
    """Return the packages of a lock by their addresses, as conda and micromamba read them."""
    packages = list(_CONDA.finditer(lock.partition("\npackages:\n")[2]))
    if not packages:
        raise TljhError("the lock of the user environment has no packages")
    lines = []
    for package in packages:
        md5 = _MD5.search(package[2])
        lines.append(f"{package[1]}#{md5[1]}" if md5 else package[1])
    return "\n".join(["@EXPLICIT", *lines]) + "\n"


def find_local_packages(lock: str) -> list[str]:
    """Return the packages that come from files of this machine, which a build cannot fetch."""
    lines = [*format_packages(lock).splitlines()[1:], *format_requirements(lock).splitlines()]
    return [line.partition("#")[0] for line in lines if "file://" in line or line.startswith("/")]


def format_requirements(lock: str) -> str:
    """Return pip's packages of a lock, with the hash of each file where all of them have one."""
    lines = []
    has_hashes = True
    for package in _PYPI.finditer(lock.partition("\npackages:\n")[2]):
        name, version, sha256 = (
            match[1] if (match := re.search(_FIELD.format(field), package[2], re.M)) else None
            for field in ("name", "version", "sha256")
        )
        has_hashes = has_hashes and sha256 is not None
        pin = f"{name}=={version}" if sha256 else f"{name} @ {package[1]}"
        lines.append((pin, sha256))
    return "".join(
        f"{pin} --hash=sha256:{sha256}\n" if has_hashes else f"{pin}\n" for pin, sha256 in lines
    )
