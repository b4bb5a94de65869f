"""Builder of tljh's wheel from a checkout, without a build backend, network or temporary files.

A wheel is a zip file with a few text files of metadata. The bytes of ours depend on the sources
alone. So a hub environment, which is named by their digest, is rebuilt only when they change.
"""

from __future__ import annotations

import base64
import configparser
import csv
import fnmatch
import hashlib
import io
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

# The oldest time that a zip file can store.
EPOCH = (1980, 1, 1, 0, 0, 0)
_GENERATOR = "tljh-installer"


@dataclass(frozen=True)
class Wheel:
    """A wheel in memory."""

    name: str
    data: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Project:
    """The metadata in setup.cfg that a wheel is made of."""

    name: str
    version: str
    summary: str
    requires_python: str
    license: str
    dependencies: tuple[str, ...]
    entry_points: dict[str, dict[str, str]] = field(default_factory=dict)
    package_data: tuple[str, ...] = ()


def read_project(setup_cfg: str, init: str) -> Project:
    """Return the metadata in setup.cfg; the version comes from the text of tljh/__init__.py."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(setup_cfg)
    metadata, options = parser["metadata"], parser["options"]

    def lines(section: str, key: str) -> tuple[str, ...]:
        return tuple(parser.get(section, key, fallback="").split("\n"))[1:]

    def points(group: str) -> dict[str, str]:
        pairs = (line.partition("=") for line in lines("options.entry_points", group))
        return {name.strip(): target.strip() for name, _, target in pairs}

    version = re.search(r'^__version__ = "([^"]+)"$', init, re.MULTILINE)
    if version is None:
        raise ValueError("tljh/__init__.py has no __version__")
    return Project(
        name=metadata["name"],
        version=version[1],
        summary=metadata["description"],
        requires_python=options["python_requires"],
        license=metadata["license"],
        dependencies=lines("options", "install_requires"),
        entry_points={group: points(group) for group in parser["options.entry_points"]},
        package_data=lines("options.package_data", "tljh"),
    )


def package_files(checkout: Path, package_data: tuple[str, ...]) -> list[tuple[str, bytes]]:
    """Return the files of the package that setuptools would choose, in a fixed order."""
    files = []
    for path in sorted((checkout / "tljh").rglob("*")):
        name = path.relative_to(checkout / "tljh").as_posix()
        if "__pycache__" in path.parts or not path.is_file():
            continue
        patterns = [p[3:] if p.startswith("**/") else p for p in package_data]
        if path.suffix == ".py" or any(
            fnmatch.fnmatch(path.name, p) or fnmatch.fnmatch(name, p) for p in patterns
        ):
            files.append((f"tljh/{name}", path.read_bytes()))
    return files


def _metadata(project: Project) -> bytes:
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {project.name}",
        f"Version: {project.version}",
        f"Summary: {project.summary}",
        f"Requires-Python: {project.requires_python}",
        f"License-Expression: {project.license}",
        *(f"Requires-Dist: {dependency}" for dependency in project.dependencies),
    ]
    return ("\n".join(lines) + "\n").encode()


def _entry_points(project: Project) -> bytes:
    text = ""
    for group, points in project.entry_points.items():
        text += f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
        text += "\n"
    return text.encode()


def archive(files: list[tuple[str, bytes]], compression: int) -> bytes:
    """Return a zip file whose bytes depend on `files` only."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in files:
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = compression
            entry.create_system = 3
            file.writestr(entry, data, compresslevel=9)
    return buffer.getvalue()


def _record(files: list[tuple[str, bytes]], own_name: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for name, data in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        writer.writerow([name, f"sha256={digest}", len(data)])
    writer.writerow([own_name, "", ""])
    return text.getvalue().encode()


def build_wheel(checkout: Path) -> Wheel:
    """Return the wheel of a checkout, which is only read."""
    project = read_project(
        (checkout / "setup.cfg").read_text(encoding="utf-8"),
        (checkout / "tljh" / "__init__.py").read_text(encoding="utf-8"),
    )
    info = f"{project.name}-{project.version}.dist-info"
    files = [
        *package_files(checkout, project.package_data),
        (f"{info}/METADATA", _metadata(project)),
        (
            f"{info}/WHEEL",
            f"Wheel-Version: 1.0\nGenerator: {_GENERATOR}\n"
            "Root-Is-Purelib: true\nTag: py3-none-any\n".encode(),
        ),
        (f"{info}/entry_points.txt", _entry_points(project)),
    ]
    files.append((f"{info}/RECORD", _record(files, f"{info}/RECORD")))
    # Not compressed: compressed bytes would depend on the machine's zlib.
    data = archive(files, zipfile.ZIP_STORED)
    return Wheel(f"{project.name}-{project.version}-py3-none-any.whl", data)
