"""The distribution's own Python: of this computer, of a directory, or of a container image."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DebianPython:
    """The Python of a Debian or Ubuntu system; `files` are relative to its root."""

    root: Path
    short: str  # "3.11"
    package_version: str  # "3.11.2-6+deb12u6"
    files: tuple[str, ...]

    @property
    def version(self) -> str:
        return self.package_version.partition("-")[0].partition("~")[0].partition("+")[0]

    @property
    def tag(self) -> str:
        return self.short.replace(".", "")


def debian_python(root: Path) -> DebianPython:
    """Find the Python of a system by dpkg's file lists, which leave out what others installed."""
    link = root / "usr/bin/python3"
    if not link.is_symlink():
        raise FileNotFoundError(f"{link} is missing: a Debian or Ubuntu with python3 is needed")
    short = link.readlink().name.removeprefix("python")
    packages = [f"libpython{short}-minimal", f"libpython{short}-stdlib", f"python{short}-minimal"]
    info = root / "var/lib/dpkg/info"
    files: set[str] = set()
    for package in packages:
        for listing in [*info.glob(f"{package}.list"), *info.glob(f"{package}:*.list")]:
            files.update(line.lstrip("/") for line in listing.read_text().splitlines())
    prefixes = (f"usr/lib/python{short}/", f"usr/bin/python{short}")
    kept = sorted(f for f in files if f.startswith(prefixes) and not (root / f).is_dir())
    return DebianPython(root, short, _installed_version(root, packages[0]), tuple(kept))


def _installed_version(root: Path, package: str) -> str:
    for stanza in (root / "var/lib/dpkg/status").read_text().split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in stanza.splitlines()
            if line[:1].isalpha() and ": " in line
        )
        if fields.get("Package") == package:
            return fields["Version"]
    raise FileNotFoundError(f"{package} is not installed in {root}")


def of_image(image: str, cache: Path) -> Path:
    """Extract the Python of a container image into the cache, once, and return its root."""
    engine = shutil.which("podman") or shutil.which("docker")
    if engine is None:
        raise FileNotFoundError("neither podman nor docker is installed")
    inspect = [engine, "image", "inspect", "--format", "{{.Id}}", image]
    identity = subprocess.run(inspect, check=True, capture_output=True, text=True).stdout.strip()
    root = cache / f"root-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    if root.is_dir():
        return root
    work = root.with_name(f".{root.name}-{os.getpid()}")
    work.mkdir()
    create = [engine, "create", image, "/bin/true"]
    container = subprocess.run(create, check=True, capture_output=True, text=True).stdout.strip()
    try:
        with subprocess.Popen([engine, "export", container], stdout=subprocess.PIPE) as export:
            patterns = ["usr/bin/python3*", "usr/lib/python3*", "var/lib/dpkg"]
            unpack = ["tar", "-x", "-C", str(work), "--no-same-owner", "--wildcards", *patterns]
            subprocess.run(unpack, check=True, stdin=export.stdout)
    finally:
        subprocess.run([engine, "rm", container], check=True, capture_output=True)
    work.rename(root)
    return root
