"""Conda packages made from wheels, with their dependencies, files and entry points."""

from __future__ import annotations

import base64
import configparser
import hashlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from functools import cached_property
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from channel.package import PLACEHOLDER, CondaPackage, PackageFile

# conda-forge splits JupyterHub; its package jupyterhub-base has the wheel's content.
CONDA_NAMES = {"jupyterhub": "jupyterhub-base"}

SCRIPT = """\
#!{shebang}
import sys
from {module} import {first}
if __name__ == '__main__':
    sys.exit({function}())
"""


@dataclass(frozen=True)
class Target:
    """The Python and the platform of the packages."""

    short: str  # "3.11"
    full: str  # "3.11.2"
    subdir: str  # "linux-64"
    markers: Mapping[str, str]

    @property
    def tag(self) -> str:
        return "py" + self.short.replace(".", "")

    @property
    def site_packages(self) -> str:
        return f"lib/python{self.short}/site-packages"

    @property
    def python_pin(self) -> str:
        major, minor = map(int, self.short.split("."))
        return f"python >={self.short},<{major}.{minor + 1}.0a0"


class Wheel:
    """A wheel file, with its metadata."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with zipfile.ZipFile(path) as archive:
            self.files = {
                info.filename: PackageFile(
                    archive.read(info), executable=bool(info.external_attr >> 16 & 0o111)
                )
                for info in archive.infolist()
                if not info.is_dir()
            }
        self.dist_info = next(n for n in self.files if re.fullmatch(r"[^/]+\.dist-info/WHEEL", n))
        self.dist_info = self.dist_info.partition("/")[0]

    def text(self, name: str) -> str:
        file = self.files.get(f"{self.dist_info}/{name}")
        return file.content.decode() if file else ""

    @cached_property
    def metadata(self) -> Message:
        return Parser().parsestr(self.text("METADATA"))

    @property
    def name(self) -> str:
        return canonicalize_name(self.metadata["Name"])

    @property
    def is_pure(self) -> bool:
        return self.path.stem.endswith("-any")

    @cached_property
    def scripts(self) -> dict[str, str]:
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(self.text("entry_points.txt"))
        sections = [s for s in ("console_scripts", "gui_scripts") if parser.has_section(s)]
        return {
            name: re.sub(r"\s*\[.*\]", "", value)
            for section in sections
            for name, value in parser.items(section)
        }

    def requirements(self, markers: Mapping[str, str], extra: str = "") -> Iterator[Requirement]:
        for line in self.metadata.get_all("Requires-Dist") or []:
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None:
                if not extra:
                    yield requirement
                continue
            plain = marker.evaluate({**markers, "extra": ""})
            if (not extra and plain) or (
                extra and not plain and marker.evaluate({**markers, "extra": extra})
            ):
                yield requirement


def to_package(wheel: Wheel, target: Target, wheels: Mapping[str, Wheel]) -> CondaPackage:
    """Convert a wheel: to a noarch package if it is pure, else to one for the target's Python."""
    package = CondaPackage(
        CONDA_NAMES.get(wheel.name, wheel.name),
        wheel.metadata["Version"],
        build="py_0" if wheel.is_pure else f"{target.tag}_0",
        noarch="python" if wheel.is_pure else None,
        subdir="noarch" if wheel.is_pure else target.subdir,
        summary=wheel.metadata.get("Summary", ""),
    )
    package.depends = _depends(wheel, target, wheels)
    site_packages = "site-packages" if wheel.is_pure else target.site_packages
    scripts = "python-scripts" if wheel.is_pure else "bin"
    package.files = _files(wheel, target, site_packages, scripts)
    if wheel.is_pure:
        package.entry_points = [f"{name} = {call}" for name, call in sorted(wheel.scripts.items())]
    else:
        package.files |= _script_files(wheel, target)
    package.files[f"{site_packages}/{wheel.dist_info}/INSTALLER"] = PackageFile(b"conda\n")
    record = f"{site_packages}/{wheel.dist_info}/RECORD"
    package.files[record] = PackageFile(_record(wheel, package.files, site_packages, scripts))
    return package


def _depends(wheel: Wheel, target: Target, wheels: Mapping[str, Wheel]) -> list[str]:
    needs = wheel.metadata.get("Requires-Python", "")
    depends = {_match_spec("python", SpecifierSet(needs)) if wheel.is_pure else target.python_pin}
    pending = list(wheel.requirements(target.markers))
    seen: set[str] = set()
    while pending:
        requirement = pending.pop()
        name = canonicalize_name(requirement.name)
        if str(requirement) in seen or name == wheel.name:
            continue
        seen.add(str(requirement))
        depends.add(_match_spec(CONDA_NAMES.get(name, name), requirement.specifier))
        # conda has no extras: what `name[extra]` needs, this package needs.
        for extra in requirement.extras:
            pending += wheels[name].requirements(target.markers, extra)
    return sorted(depends)


def _match_spec(name: str, specifier: SpecifierSet) -> str:
    versions = ",".join(sorted(str(s).replace("===", "==") for s in specifier))
    return f"{name} {versions}".strip()


def _files(
    wheel: Wheel, target: Target, site_packages: str, scripts: str
) -> dict[str, PackageFile]:
    data = wheel.dist_info.removesuffix(".dist-info") + ".data/"
    places = {"purelib": site_packages, "platlib": site_packages, "scripts": scripts, "data": ""}
    places["headers"] = f"include/python{target.short}/{wheel.name}"
    files = {}
    for name, file in wheel.files.items():
        if name == f"{wheel.dist_info}/RECORD":
            continue
        if not name.startswith(data):
            files[f"{site_packages}/{name}"] = file
            continue
        key, _, rest = name.removeprefix(data).partition("/")
        path = f"{places[key]}/{rest}".lstrip("/")
        files[path] = _with_shebang(file) if key == "scripts" else file
    return files


def _with_shebang(file: PackageFile) -> PackageFile:
    content = re.sub(rb"\A#!pythonw?", f"#!{PLACEHOLDER}/bin/python".encode(), file.content)
    return PackageFile(content, executable=True)


def _script_files(wheel: Wheel, target: Target) -> dict[str, PackageFile]:
    files = {}
    for name, call in wheel.scripts.items():
        module, _, function = call.partition(":")
        text = SCRIPT.format(
            shebang=f"{PLACEHOLDER}/bin/python{target.short}",
            module=module.strip(),
            first=function.strip().partition(".")[0],
            function=function.strip(),
        )
        files[f"bin/{name}"] = PackageFile(text.encode(), executable=True)
    return files


def _record(
    wheel: Wheel, files: Mapping[str, PackageFile], site_packages: str, scripts: str
) -> bytes:
    """Return the RECORD with which pip and uv can uninstall the package.

    Its paths are relative to site-packages, as they are after the installation.
    """
    rows = [f"{wheel.dist_info}/RECORD,,"]
    for path, file in files.items():
        if path.startswith(f"{site_packages}/"):
            installed = path.removeprefix(f"{site_packages}/")
        elif path.startswith(f"{scripts}/"):
            installed = "../../../bin/" + path.removeprefix(f"{scripts}/")
        else:
            installed = f"../../../{path}"
        if file.has_placeholder:
            rows.append(f"{installed},,")
            continue
        digest = base64.urlsafe_b64encode(hashlib.sha256(file.content).digest()).rstrip(b"=")
        rows.append(f"{installed},sha256={digest.decode()},{len(file.content)}")
    if wheel.is_pure:
        rows += [f"../../../bin/{name},," for name in wheel.scripts]
    return "".join(f"{row}\n" for row in sorted(rows)).encode()
