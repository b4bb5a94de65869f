"""Building an environment next to the current one, and exchanging the two when it is complete.

py-rattler's own transaction is not atomic: a corrupt archive leaves some packages linked and
some old ones removed. So it works on a copy that no user sees.
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
from tljh.conda.worker.events import CondaProblem
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
from tljh.conda.worker.solving import locked_records, network_client, verify_local_archives
from tljh.host.interface import DIES_WITH_US

PIP_TIMEOUT_S = 3600


async def apply(request: dict[str, Any]) -> dict[str, Any]:
    """Build at `other`, or rename what is already built there, and exchange it with `prefix`."""
    prefix, other = Path(request["prefix"]), Path(request["other"])
    shutil.rmtree(other, ignore_errors=True)
    # Before the build, so that the disk has room for it.
    trees.prune(other.parent, other.name.rstrip("0123456789"), request["keep_snapshots"])
    if request["built"] is None:
        await build(request)
    else:
        Path(request["built"]).rename(other)
    events.step("exchanging the environments")
    trees.commit(prefix, other)
    if not request["keep_cache"]:
        shutil.rmtree(request["cache"], ignore_errors=True)
    return {"packages": len(list((prefix / "conda-meta").glob("*.json")))}


async def build(request: dict[str, Any]) -> dict[str, Any]:
    """Build at `other` from a copy of `prefix`, where that exists, and flush it to the disk."""
    prefix, other = Path(request["prefix"]), Path(request["other"])
    for leftover in (other, *other.parent.glob(f"{BUILDING}*")):
        shutil.rmtree(leftover, ignore_errors=True)
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
    trees.publish_modes(other, prefix if prefix.exists() else None)
    trees.flush(other)
    return {}


async def _link(request: dict[str, Any], prefix: Path, other: Path) -> None:
    events.step("fetching and linking packages")
    reporter = events.Reporter()
    before = prefix_records(other)
    cache = Path(request["cache"])
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Linked files share their inode with the cache, so an edit in an environment damages the
    # cache. Only full validation reads the files' contents and finds that.
    layer = PackageCacheLayer(cache / "pkgs").with_validation_mode(ValidationMode.full())
    locked = locked_records(request["lock"])
    reinstall = _uninstall_conflicts(request, other, locked)
    verify_local_archives(locked, before)
    keep = {distribution_name(r) for r in locked if r.name.normalized not in reinstall}
    remove_byte_code(other, [r for r in before if distribution_name(r) not in keep])
    await install(
        locked,
        other,
        installed_packages=before,
        reinstall_packages=reinstall,
        package_cache=PackageCache.from_layers([layer]),
        client=network_client(),
        requested_specs=_inner_specs(request["specs"]),
        reporter=reporter,
        execute_link_scripts=True,
        # Scripts and prefixes in files name the final place, not the place of the build.
        alternative_target_prefix=prefix,
        show_progress=False,
    )
    if reporter.failed_scripts:
        names = ", ".join(reporter.failed_scripts)
        raise CondaProblem("package", "a package's own script failed after linking", names)
    # rattler leaves this tag, with which backup tools would skip the environment as a cache.
    (other / "CACHEDIR.TAG").unlink(missing_ok=True)
    append_history(
        other,
        [distribution_name(record) for record in before],
        [distribution_name(record) for record in prefix_records(other)],
        request["specs"],
        request["command"],
    )


def _inner_specs(specs: Sequence[str]) -> Any:
    # py-rattler 0.28 takes the wrapped objects only, whatever its signature says.
    return [getattr(spec, "_match_spec", spec) for spec in map(MatchSpec, specs)]


def _uninstall_conflicts(
    request: dict[str, Any], other: Path, locked: Sequence[RepoDataRecord]
) -> set[str]:
    """Uninstall pip's distributions where conda packages of the same name are to be linked.

    rattler does not see them, and would leave two sets of metadata for one distribution.
    Returns the conda packages to link again, because pip had replaced their files.
    """
    installed = prefix_records(other)
    before = {r.name.normalized: (str(r.version), str(r.build)) for r in installed}
    incoming = {
        r.name.normalized
        for r in locked
        if before.get(r.name.normalized) != (str(r.version), str(r.build))
    }
    from_pip = distributions_without_record(other, installed)
    conflicts = sorted(from_pip & (incoming | set(request["reinstall"])))
    if conflicts and (other / "bin" / "python").exists():
        events.note(f"conda's {', '.join(conflicts)} replaces pip's")
        uninstall = [request["uv"], "pip", "uninstall", "--quiet"]
        uninstall += ["--python", str(other / "bin" / "python"), *conflicts]
        _run(uninstall, "packages that pip had installed could not be removed")
    return owners_of_distributions(other, installed, request["reinstall"])


def _pip_install(request: dict[str, Any], prefix: Path, other: Path) -> None:
    """Install the requirements with uv.

    Where a requirement needs another version of a conda package, uv removes conda's files
    first.
    """
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
        _run(command, "the pip requirements of the user environment could not be installed")
    _relocate_scripts(other, prefix)


def _relocate_scripts(built_at: Path, prefix: Path) -> None:
    """Rewrite the paths in scripts that uv wrote into bin/ to the environment's final place."""
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
    """Run uv; it takes its indexes from the environment, which the caller has prepared."""
    done = subprocess.run(
        [*DIES_WITH_US, *argv],
        # With hard links into uv's cache, an edit here would damage the next installation.
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
        raise CondaProblem("pip", failure, last)


def _compile(prefix: Path, other: Path) -> None:
    """Compile the library to byte code.

    Users cannot write it here, so without it every start of a server or kernel would be slow.
    """
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
    """Write the marker for the next run; conda reads only *.json in this directory."""
    marker = {"generation": request["number"], "requirements": request["requirement_digests"]}
    replace_text(other / MARKER, json.dumps(marker) + "\n")
