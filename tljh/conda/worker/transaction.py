"""Builds an environment beside the one in use, complete to the last byte, then exchanges them.

py-rattler's own transaction is not atomic: a corrupt archive leaves some packages linked and
some old ones gone. Here nobody sees it before it is whole.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rattler import (
    MatchSpec,
    PackageCache,
    PackageCacheLayer,
    RepoDataRecord,
    ValidationMode,
    install,
)

from tljh.conda.environment import BUILDING, MARKER
from tljh.conda.worker import events, trees
from tljh.conda.worker.archives import verify_local_archives
from tljh.conda.worker.prefix import (
    append_history,
    distribution_name,
    distributions_without_record,
    owners_of_distributions,
    prefix_records,
    python_short,
    remove_byte_code,
    replace_text,
    use_installed_paths,
)
from tljh.conda.worker.problems import Problem
from tljh.conda.worker.solving import locked_records, network_client
from tljh.host.interface import DIES_WITH_US

PIP_TIMEOUT_S = 3600


async def apply(request: dict[str, Any]) -> dict[str, Any]:
    """Build at `other`, or bring there what was built before, and put it in place."""
    prefix, other = Path(request["prefix"]), Path(request["other"])
    shutil.rmtree(other, ignore_errors=True)
    trees.prune(other.parent, other.name.rstrip("0123456789"), request["keep_snapshots"])
    if request["built"] is None:
        await build(request)
    else:
        Path(request["built"]).rename(other)
    events.step("putting it in place")
    trees.commit(prefix, other)
    if not request["keep_cache"]:
        shutil.rmtree(request["cache"], ignore_errors=True)
    return {"packages": len(list((prefix / "conda-meta").glob("*.json")))}


async def build(request: dict[str, Any]) -> dict[str, Any]:
    """Build at `other` from the lock, on top of `prefix` where it exists, complete and flushed."""
    prefix, other = Path(request["prefix"]), Path(request["other"])
    for left in (other, *other.parent.glob(f"{BUILDING}*")):
        shutil.rmtree(left, ignore_errors=True)
    if prefix.exists():
        events.step("copying the environment")
        trees.copy_tree(prefix, other)
        use_installed_paths(other)
    else:
        other.mkdir()
    (other / "conda-meta").mkdir(exist_ok=True)
    if request["lock"] is not None:
        await _link(request, prefix, other)
    if request["requirements"]:
        _pip_install(request, prefix, other)
    _compile(prefix, other)
    _mark(request, other)
    trees.publish_modes(other)
    trees.flush(other)
    return {}


async def _link(request: dict[str, Any], prefix: Path, other: Path) -> None:
    events.step("fetching and linking packages")
    reporter = events.Reporter()
    before = prefix_records(other)
    cache = Path(request["cache"])
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Fully: a file that somebody edited in an environment may share its inode with the cache.
    layer = PackageCacheLayer(cache / "pkgs").with_validation_mode(ValidationMode.full())
    wanted = locked_records(request["lock"])
    again = _make_way(request, other, wanted)
    verify_local_archives(wanted, before)
    keep = {distribution_name(r) for r in wanted if r.name.normalized not in again}
    remove_byte_code(other, [r for r in before if distribution_name(r) not in keep])
    await install(
        wanted,
        other,
        installed_packages=before,
        reinstall_packages=again,
        package_cache=PackageCache.from_layers([layer]),
        client=network_client(),
        requested_specs=_requested(request["specs"]),
        reporter=reporter,
        execute_link_scripts=True,
        alternative_target_prefix=prefix,
        show_progress=False,
    )
    if reporter.failed_scripts:
        names = ", ".join(reporter.failed_scripts)
        raise Problem("package", "a package's own script failed after linking", names)
    # It says 'cache directory' to backup tools, which would then leave the environment out.
    (other / "CACHEDIR.TAG").unlink(missing_ok=True)
    append_history(
        other,
        [distribution_name(record) for record in before],
        [distribution_name(record) for record in prefix_records(other)],
        request["specs"],
        request["command"],
    )


def _requested(specs: Sequence[str]) -> Any:
    """py-rattler 0.28 wants its inner objects here, against its own signature."""
    wrapped = [MatchSpec(spec) for spec in specs]
    return [getattr(spec, "_match_spec", spec) for spec in wrapped]


def _make_way(request: dict[str, Any], other: Path, wanted: Sequence[RepoDataRecord]) -> set[str]:
    """Take away what pip put where conda packages are about to go; conda can't see it.

    Two sets of metadata for one distribution would be left otherwise. Returns the conda
    packages that have to be linked again because pip had replaced their files.
    """
    installed = prefix_records(other)
    before = {r.name.normalized: (str(r.version), str(r.build)) for r in installed}
    coming = {
        r.name.normalized
        for r in wanted
        if before.get(r.name.normalized) != (str(r.version), str(r.build))
    }
    foreign = distributions_without_record(other, installed)
    going = sorted(name for name in foreign if name in coming or name in request["reinstall"])
    if going and (other / "bin" / "python").exists():
        events.note(f"pip's {', '.join(going)} give way to conda's")
        uninstall = [request["uv"], "pip", "uninstall", "--quiet"]
        uninstall += ["--python", str(other / "bin" / "python"), *going]
        _run(uninstall, "packages that pip had installed could not be taken away")
    return owners_of_distributions(other, installed, request["reinstall"])


def _pip_install(request: dict[str, Any], prefix: Path, other: Path) -> None:
    """uv replaces conda's packages cleanly where a requirement asks for another version."""
    events.step("installing pip requirements")
    command = [request["uv"], "pip", "install", "--quiet", "--no-progress"]
    command += ["--python", str(other / "bin" / "python")]
    with TemporaryDirectory(prefix="tljh-pip-") as scratch:
        for number, text in enumerate(request["requirements"]):
            file = Path(scratch) / f"requirements-{number}.txt"
            file.write_text(f"{text}\n")
            command += ["-r", str(file)]
        limits = Path(scratch) / "constraints.txt"
        limits.write_text("".join(f"{line}\n" for line in request["constraints"]))
        command += ["-c", str(limits)]
        # uv 0.13 ignores the variable and would ask pypi.org.
        if os.environ.get("UV_NO_INDEX"):
            command.append("--no-index")
        _run(command, "the pip requirements of the shared environment could not be installed")
    _move_scripts(other, prefix)


def _move_scripts(built_at: Path, prefix: Path) -> None:
    """Point what pip wrote into bin/ at the place where the environment is going to stand."""
    old, new = os.fsencode(built_at), os.fsencode(prefix)
    for path in (built_at / "bin").iterdir():
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as stream:
            if not stream.read(2 + len(old) + 1).startswith((b"#!" + old, b"#!/bin/sh")):
                continue
        content = path.read_bytes()
        if old in content:
            temporary = path.with_name(f".{path.name}.moving")
            temporary.write_bytes(content.replace(old, new))
            shutil.copymode(path, temporary)
            temporary.replace(path)


def _run(argv: Sequence[str], failure: str) -> None:
    """uv takes its indexes from the environment, which the caller has prepared."""
    done = subprocess.run(
        [*DIES_WITH_US, *argv],
        # Hard links into uv's cache would let an edit here poison the next installation.
        env={**os.environ, "UV_LINK_MODE": "copy", "UV_NO_CONFIG": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PIP_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-12:])
        raise Problem("pip", failure, last)


def _compile(prefix: Path, other: Path) -> None:
    """People can't write byte code here, so without this every start of theirs is slow."""
    short = python_short(other)
    if short is None:
        return
    events.step("compiling to byte code")
    library = other / "lib" / f"python{short}"
    script = Path(__file__).with_name("bytecode.py")
    command = [str(other / "bin" / "python"), "-I", "-B", str(script)]
    command += [str(library), str(other), str(prefix)]
    subprocess.run(
        [*DIES_WITH_US, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


def _mark(request: dict[str, Any], other: Path) -> None:
    """What the next run needs to know of this one; conda reads only *.json in this directory."""
    found = {"generation": request["number"], "requirements": request["requirement_digests"]}
    replace_text(other / MARKER, json.dumps(found) + "\n")
