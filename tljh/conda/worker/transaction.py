"""Building an environment next to the current one, and exchanging the two when it is complete.

py-rattler's own transaction is not atomic: a corrupt archive leaves some packages linked and
some old ones removed. So it works on a copy that no user sees.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
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
from tljh.conda.worker import events, pip_changes, trees
from tljh.conda.worker.events import CondaProblem
from tljh.conda.worker.prefix import (
    append_history,
    find_distributions_without_record,
    list_requested_specs,
    map_distributions_to_owners,
    parse_distribution_name,
    read_prefix_records,
    remove_byte_code,
    replace_text,
    use_installed_paths,
)
from tljh.conda.worker.recorded_files import encode_hash, find_python_version
from tljh.conda.worker.solving import make_network_client, parse_lock, verify_local_archives
from tljh.host.interface import DIES_WITH_US


async def apply(request: dict[str, Any]) -> dict[str, Any]:
    """Exchange the environment at `other` with `prefix`; build it first if it is not built."""
    prefix, other = Path(request["prefix"]), Path(request["other"])
    trees.remove_tree(other)
    # Before the build, so that the disk has room for it.
    trees.remove_replaced(other.parent, other.name.rstrip("0123456789"))
    if request["built"] is None:
        await build(request)
    else:
        Path(request["built"]).rename(other)
    events.begin_step("exchanging the environments")
    trees.commit(prefix, other)
    if not request["keep_cache"]:
        shutil.rmtree(request["cache"], ignore_errors=True)
    return {"packages": len(list((prefix / "conda-meta").glob("*.json")))}


async def build(request: dict[str, Any]) -> dict[str, Any]:
    """Build the environment at `other` and flush it to the disk.

    It starts as a copy of `prefix`, where that exists.
    """
    prefix, other = Path(request["prefix"]), Path(request["other"])
    for leftover in (other, *other.parent.glob(f"{BUILDING}*")):
        shutil.rmtree(leftover, ignore_errors=True)
    if prefix.exists():
        events.begin_step("copying the environment")
        trees.copy_tree(prefix, other)
        use_installed_paths(other)
    else:
        other.mkdir()
    (other / "conda-meta").mkdir(exist_ok=True)
    if request["uninstall"]:
        # With the old Python, before conda's packages may bring a new one.
        pip_changes.uninstall(other, request["uv"], request["uninstall"])
    if request["lock"] is not None:
        await _link(request, prefix, other)
    if request["requirements"]:
        _install_distributions(request, prefix, other)
    compile_modules(prefix, other)
    _mark(request, other)
    trees.publish_modes(other, prefix if prefix.exists() else None)
    trees.flush(other)
    return {}


async def _link(request: dict[str, Any], prefix: Path, other: Path) -> None:
    events.begin_step("fetching and linking packages")
    reporter = events.Reporter()
    before = read_prefix_records(other)
    cache = Path(request["cache"])
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Linked files share their inode with the cache, so an edit in an environment damages the
    # cache. Only full validation reads the files' contents and finds that.
    layer = PackageCacheLayer(cache / "pkgs").with_validation_mode(ValidationMode.full())
    locked = parse_lock(request["lock"])
    reinstall = _uninstall_conflicts(request, other, locked)
    verify_local_archives(locked, before)
    keep = {parse_distribution_name(r) for r in locked if r.name.normalized not in reinstall}
    remove_byte_code(other, [r for r in before if parse_distribution_name(r) not in keep])
    await install(
        locked,
        other,
        installed_packages=before,
        reinstall_packages=reinstall,
        package_cache=PackageCache.from_layers([layer]),
        client=make_network_client(),
        requested_specs=_select_inner_specs(list_requested_specs(before, request["specs"])),
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
        [parse_distribution_name(record) for record in before],
        [parse_distribution_name(record) for record in read_prefix_records(other)],
        request["specs"],
        request["command"],
        request["removed"],
    )


def _select_inner_specs(specs: Sequence[str]) -> Any:
    # py-rattler 0.28 takes the wrapped objects only, whatever its signature says.
    return [getattr(spec, "_match_spec", spec) for spec in map(MatchSpec, specs)]


def _uninstall_conflicts(
    request: dict[str, Any], other: Path, locked: Sequence[RepoDataRecord]
) -> set[str]:
    """Uninstall pip's distributions where conda packages of the same name are to be linked.

    rattler does not see them, and would leave two sets of metadata for one distribution.
    Returns the conda packages to link again, because pip had replaced their files.
    """
    installed = read_prefix_records(other)
    before = {r.name.normalized: (str(r.version), str(r.build)) for r in installed}
    incoming = {
        r.name.normalized
        for r in locked
        if before.get(r.name.normalized) != (str(r.version), str(r.build))
    }
    from_pip = find_distributions_without_record(other, installed)
    conflicts = sorted(from_pip.keys() & (incoming | set(request["reinstall"])))
    if conflicts and (other / "bin" / "python").exists():
        events.note(f"conda's {', '.join(conflicts)} replaces pip's")
        pip_changes.uninstall(other, request["uv"], conflicts)
    return map_distributions_to_owners(other, installed, request["reinstall"])


def _install_distributions(request: dict[str, Any], prefix: Path, other: Path) -> None:
    """Install requirements with uv.

    Where a requirement needs another version of a conda package, uv removes conda's files
    first.
    """
    events.begin_step("installing pip requirements")
    options = ["--quiet"]
    if request["is_upgrade"]:
        options.append("--upgrade")
    if request["is_complete"]:
        options.append("--no-deps")
    pip_changes.install(
        other, request["uv"], request["requirements"], request["constraints"], options
    )
    relocate_scripts(other, prefix)


def relocate_scripts(built_at: Path, prefix: Path) -> None:
    """Rewrite the paths in scripts that uv wrote into bin/ to the environment's final place.

    uv has recorded the hashes of the scripts before, so the records are rewritten, too.
    """
    old, new = os.fsencode(built_at), os.fsencode(prefix)
    rewritten = {}
    for path in (built_at / "bin").iterdir():
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as stream:
            if not stream.read(2 + len(old) + 1).startswith((b"#!" + old, b"#!/bin/sh")):
                continue
        content = path.read_bytes()
        if old in content:
            content = content.replace(old, new)
            temporary = path.with_name(f".{path.name}.moving")
            temporary.write_bytes(content)
            shutil.copymode(path, temporary)
            temporary.replace(path)
            rewritten[f"../../../bin/{path.name}"] = content
    if rewritten:
        _record_scripts(built_at, rewritten)


def _record_scripts(built_at: Path, contents: Mapping[str, bytes]) -> None:
    """Write hash and size of scripts to the RECORDs that list them."""
    for record in built_at.glob("lib/python3.*/site-packages/*.dist-info/RECORD"):
        lines = record.read_text().splitlines()
        rows = [line.split(",", 1)[0] for line in lines]
        if not contents.keys() & set(rows):
            continue
        for number, path in enumerate(rows):
            if path in contents:
                digest = encode_hash(hashlib.sha256(contents[path]).digest())
                lines[number] = f"{path},{digest},{len(contents[path])}"
        replace_text(record, "\n".join(lines) + "\n")


def compile_modules(prefix: Path, other: Path) -> None:
    """Compile the environment's Python modules to byte code.

    Users cannot write there, so without it every start of a server or kernel would be slow.
    """
    short = find_python_version(other)
    if short is None:
        return
    events.begin_step("compiling to byte code")
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
    """Write the marker file of this build, by which the next run knows its generation.

    conda reads only *.json in this directory.
    """
    marker = {"generation": request["number"], "requirements": request["requirement_digests"]}
    replace_text(other / MARKER, json.dumps(marker) + "\n")
