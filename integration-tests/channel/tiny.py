"""Small invented packages: several versions, a conflict, and a second channel.

`river` has 1.0, 1.1 and 2.0. `boat` 1.0 needs river 1, `boat` 2.0 needs river 2. `anchor` needs
river below 2. `ferry` is a noarch Python package with a command; `barge` is bound to the
channel's Python, like a package with binaries; `lock` has a post-link script that fails.

The second channel has `river` 3.0, a `bridge`, and a stub of `conda`, which prints the
environment that it would change and its arguments.
"""

from __future__ import annotations

from channel.package import CondaPackage, PackageFile
from channel.wheels import Target

FERRY = b'"""Carries."""\n\n\ndef main() -> None:\n    print("ferry %s")\n'
METADATA = "Metadata-Version: 2.1\nName: ferry\nVersion: {version}\n"


def main_packages(target: Target) -> list[CondaPackage]:
    return [
        _barge("1.0", target),
        _barge("2.0", target),
        _plain("river", "1.0"),
        _plain("river", "1.1"),
        _plain("river", "2.0"),
        _plain("boat", "1.0", "river >=1,<2"),
        _plain("boat", "2.0", "river >=2"),
        _plain("anchor", "1.0", "river <2"),
        _ferry("1.0"),
        _ferry("2.0"),
        _failing_post_link("lock", "1.0"),
    ]


def more_packages() -> list[CondaPackage]:
    stub = _plain("conda", "1.0")
    script = b'#!/bin/sh\necho "$CONDA_PREFIX" "$@"\n'
    stub.files["bin/conda"] = PackageFile(script, executable=True)
    return [_plain("river", "3.0"), _plain("bridge", "1.0", "river"), stub]


def _plain(name: str, version: str, *depends: str) -> CondaPackage:
    files = {
        f"share/{name}/version": PackageFile(f"{version}\n".encode()),
        f"share/{name}/only-in-{version}": PackageFile(b"x" * 1000),
    }
    return CondaPackage(name, version, depends=list(depends), files=files)


def _ferry(version: str) -> CondaPackage:
    info = f"site-packages/ferry-{version}.dist-info"
    files = {
        "site-packages/ferry/__init__.py": PackageFile(FERRY % version.encode()),
        f"{info}/METADATA": PackageFile(METADATA.format(version=version).encode()),
        f"{info}/INSTALLER": PackageFile(b"conda\n"),
        f"{info}/WHEEL": PackageFile(b"Wheel-Version: 1.0\n"),
    }
    inside = [path.removeprefix("site-packages/") for path in files]
    rows = [*inside, f"ferry-{version}.dist-info/RECORD", "../../../bin/ferry"]
    files[f"{info}/RECORD"] = PackageFile("".join(f"{row},,\n" for row in rows).encode())
    return CondaPackage(
        "ferry",
        version,
        build="py_0",
        depends=["python >=3.9"],
        noarch="python",
        files=files,
        entry_points=["ferry = ferry:main"],
    )


def _barge(version: str, target: Target) -> CondaPackage:
    module = f"{target.site_packages}/barge.py"
    return CondaPackage(
        "barge",
        version,
        build=f"{target.tag}_0",
        depends=[target.python_pin],
        noarch=None,
        subdir=target.subdir,
        files={module: PackageFile(f'VERSION = "{version}"\n'.encode())},
    )


def _failing_post_link(name: str, version: str) -> CondaPackage:
    package = _plain(name, version)
    script = PackageFile(b"#!/bin/sh\nexit 3\n", executable=True)
    package.files[f"bin/.{name}-post-link.sh"] = script
    return package
