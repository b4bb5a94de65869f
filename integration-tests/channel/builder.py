"""The program that fills a channel directory, in the builder's environment (`builder.lock`).

`python -m channel.builder KIND ROOT OUT`
"""

from __future__ import annotations

import asyncio
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from rattler.index import index_fs

from channel import cpython, roots, tiny
from channel.package import CondaPackage
from channel.wheels import Target, Wheel, to_package

LOCK = Path(__file__).with_name("requirements.lock")
SUBDIRS = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}
# From the newest on: pip prefers the platforms that are given first.
GLIBC_MINORS = range(35, 4, -1)


def main(kind: str, root: Path, out: Path) -> None:
    python = roots.debian_python(root)
    target = _target(python)
    if kind == "full":
        packages = [cpython.package(python, target.subdir), *_from_wheels(target)]
    elif kind == "tiny":
        small = cpython.package(python, target.subdir, is_small=True)
        packages = [small, *tiny.main_packages(target)]
    else:
        packages = tiny.more_packages()
    (out / "noarch").mkdir(exist_ok=True)
    (out / target.subdir).mkdir(exist_ok=True)
    for package in packages:
        package.write(out)
    # Without force, a replaced file would keep its old hash.
    asyncio.run(index_fs(out, write_shards=False, write_zst=True, force=True))
    shutil.rmtree(out / ".tmp", ignore_errors=True)


def _target(python: roots.DebianPython) -> Target:
    machine = platform.machine()
    markers = {
        "implementation_name": "cpython",
        "implementation_version": python.version,
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": python.version,
        "python_version": python.short,
        "sys_platform": "linux",
    }
    return Target(python.short, python.version, SUBDIRS[machine], markers)


def _from_wheels(target: Target) -> list[CondaPackage]:
    with TemporaryDirectory() as folder:
        _download(target, Path(folder))
        wheels = {w.name: w for w in map(Wheel, sorted(Path(folder).glob("*.whl")))}
    packages = [to_package(wheel, target, wheels) for wheel in wheels.values()]
    hub = wheels["jupyterhub"].metadata["Version"]
    # conda-forge splits JupyterHub into these packages and jupyterhub-base.
    singleuser = ["jupyterlab >=3", "jupyter-server >=2"]
    packages += [
        CondaPackage("jupyterhub-singleuser", hub, depends=[f"jupyterhub-base {hub}", *singleuser]),
        CondaPackage("jupyterhub", hub, depends=[f"jupyterhub-singleuser {hub}"]),
    ]
    return packages


def _download(target: Target, folder: Path) -> None:
    """Fetch the locked wheels for the target's Python, which may not be the one that runs this."""
    lock = folder / "requirements.txt"
    lock.write_text(_for_target(LOCK.read_text(), target))
    tag = target.tag.removeprefix("py")
    abis = ["--abi", f"cp{tag}", "--abi", "abi3", "--abi", "none"]
    machine = target.markers["platform_machine"]
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC_MINORS]
    platforms += [f"manylinux2014_{machine}", f"linux_{machine}"]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    command += ["--quiet", "--disable-pip-version-check", "--progress-bar=off"]
    command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={tag}", *abis]
    command += [f"--platform={name}" for name in platforms]
    command += ["--dest", str(folder), "-r", str(lock)]
    # Captured: even with --quiet pip warns about every index that lacks a package.
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode:
        raise SystemExit(f"{finished.stderr}\nthe wheels of the channel could not be fetched")


def _for_target(lock: str, target: Target) -> str:
    """Select the entries of a universal lock whose markers hold for the target.

    pip would evaluate the markers for its own interpreter.
    """
    entries = []
    for block in re.split(r"\n(?=[A-Za-z0-9])", lock):
        if not block[:1].isalnum():
            continue
        head, separator, hashes = block.partition(" \\\n")
        requirement = Requirement(head)
        if requirement.marker is None or requirement.marker.evaluate(dict(target.markers)):
            entries.append(f"{requirement.name}{requirement.specifier}{separator}{hashes}")
    return "\n".join(entries) + "\n"


if __name__ == "__main__":
    started = time.monotonic()
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    print(f"built the {sys.argv[1]} channel in {time.monotonic() - started:.0f} s", file=sys.stderr)
    sys.stderr.flush()
    # With py-rattler 0.28 an ordinary exit crashes now and then, after the work is done.
    os._exit(0)
