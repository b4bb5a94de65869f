"""A conda package (`.conda`, format version 2), written reproducibly."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import zstandard

# conda-build's length, which some tools require.
PLACEHOLDER = "/opt/placeholder".ljust(255, "_")
TIMESTAMP_MS = 1_750_000_000_000


@dataclass(frozen=True)
class PackageFile:
    """A path in a package: a file's content, or a symbolic link's target."""

    content: bytes = b""
    link: str | None = None
    executable: bool = False

    @property
    def has_placeholder(self) -> bool:
        return self.link is None and PLACEHOLDER.encode() in self.content


@dataclass
class CondaPackage:
    name: str
    version: str
    build: str = "0"
    build_number: int = 0
    depends: list[str] = field(default_factory=list)
    constrains: list[str] = field(default_factory=list)
    noarch: Literal["python", "generic"] | None = "generic"
    subdir: str = "noarch"
    files: dict[str, PackageFile] = field(default_factory=dict)
    entry_points: list[str] = field(default_factory=list)
    summary: str = ""

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.version}-{self.build}"

    def write(self, channel: Path) -> Path:
        folder = channel / self.subdir
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{self.file_name}.conda"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for name, data in (
                ("metadata.json", _json({"conda_pkg_format_version": 2})),
                (f"pkg-{self.file_name}.tar.zst", _tar_zst(self.files)),
                (f"info-{self.file_name}.tar.zst", _tar_zst(self._info())),
            ):
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
        return target

    def _info(self) -> dict[str, PackageFile]:
        index: dict[str, object] = {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": self.build_number,
            "depends": sorted(self.depends),
            "constrains": sorted(self.constrains),
            "subdir": self.subdir,
            "timestamp": TIMESTAMP_MS,
        }
        if self.noarch:
            index |= {"noarch": self.noarch, "arch": None, "platform": None}
        else:
            os_name, _, arch = self.subdir.partition("-")
            index |= {"arch": "x86_64" if arch == "64" else arch, "platform": os_name}
        info = {
            "info/index.json": _json(index),
            "info/paths.json": _json({"paths": self._paths(), "paths_version": 1}),
            "info/files": "".join(f"{path}\n" for path in sorted(self.files)).encode(),
            "info/about.json": _json({"summary": self.summary}),
        }
        if self.noarch == "python":
            noarch = {"type": "python", "entry_points": self.entry_points}
            info["info/link.json"] = _json({"noarch": noarch, "package_metadata_version": 1})
        return {path: PackageFile(content) for path, content in info.items()}

    def _paths(self) -> list[dict[str, object]]:
        paths = []
        for path, file in sorted(self.files.items()):
            entry: dict[str, object] = {
                "_path": path,
                "path_type": "hardlink" if file.link is None else "softlink",
                "sha256": hashlib.sha256(file.content).hexdigest(),
                "size_in_bytes": len(file.content),
            }
            if file.has_placeholder:
                entry |= {"prefix_placeholder": PLACEHOLDER, "file_mode": "text"}
            paths.append(entry)
        return paths


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()


def _tar_zst(files: dict[str, PackageFile]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, file in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.mode = 0o755 if file.executable or file.link else 0o644
            entry.mtime = TIMESTAMP_MS // 1000
            if file.link is not None:
                entry.type, entry.linkname = tarfile.SYMTYPE, file.link
                tar.addfile(entry)
            else:
                entry.size = len(file.content)
                tar.addfile(entry, io.BytesIO(file.content))
    return zstandard.ZstdCompressor(level=5).compress(buffer.getvalue())
