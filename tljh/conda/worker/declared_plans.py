"""Plans for files that declare an environment: locks become records, and records become changes.

Writes nothing but temporary directories.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rattler import (
    Channel,
    Gateway,
    LockFile,
    PrefixRecord,
    RepoDataRecord,
    Subdir,
    VirtualPackage,
)
from rattler import solve as rattler_solve
from rattler.lock import LockedPackage

from tljh.conda.channels import redact_channel
from tljh.conda.declared_environment import format_requirement
from tljh.conda.worker import package_plans, pip_changes
from tljh.conda.worker.events import CondaProblem
from tljh.conda.worker.pip_requirements import (
    list_pip_requirements,
    parse_requirement,
    select_distribution_versions,
)
from tljh.conda.worker.prefix import find_distributions_without_record, read_prefix_records
from tljh.conda.worker.recorded_files import find_python_version
from tljh.conda.worker.solving import format_lock, make_network_client


async def plan_declared(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes that lead to what a file declares, and what is needed to make them."""
    if not request["is_exact"]:
        return await _plan_additions(request)
    prefix = Path(request["prefix"])
    installed = read_prefix_records(prefix)
    records: Sequence[RepoDataRecord] | None = None
    requirements = list(request["requirements"])
    if request["lock"] is not None:
        records, from_lock = read_lock(request["lock"], request["directory"])
        requirements += from_lock
    elif request["archives"]:
        records = await _find_archives(request["archives"], request["channels"])
    elif request["specs"]:
        records = await _solve_exactly(request)
    if records is not None:
        records = [_use_channel(record, request["channels"]) for record in records]
    return _compare(prefix, installed, records, requirements)


# What is added to an environment


async def _plan_additions(request: Mapping[str, Any]) -> dict[str, Any]:
    """Plan to install packages; all others stay."""
    answer: dict[str, Any] = {"lock": None, "changes": []}
    if request["specs"]:
        answer = await package_plans.plan_packages({**request, "action": "install"})
        if not answer["changes"]:
            answer["lock"] = None
    if request["requirements"]:
        text = "\n".join(request["requirements"])
        prefix = Path(request["prefix"])
        constraints = request["pip_constraints"]
        rows, shadowed = pip_changes.plan_installation(prefix, request["uv"], [text], constraints)
        answer["changes"] = [*answer["changes"], *rows]
        answer["shadowed"] = shadowed
        answer["constraints"] = pip_changes.format_constraints(rows)
        answer["requirements"] = [text] if rows else []
    return answer


# From a file to records


def read_lock(text: str, directory: str) -> tuple[Sequence[RepoDataRecord], list[str]]:
    """Return conda's records and pip's requirements of a lock of rattler or pixi."""
    with TemporaryDirectory(prefix="tljh-lock-") as scratch:
        path = Path(scratch) / "pixi.lock"
        path.write_text(text)
        try:
            file = LockFile.from_path(path)
        except Exception as error:
            raise CondaProblem("file", "the lock cannot be read", str(error)) from error
    environments = dict(file.environments())
    environment = file.default_environment() or next(iter(environments.values()), None)
    if environment is None or (len(environments) > 1 and "default" not in environments):
        names = ", ".join(sorted(environments)) or "none"
        raise CondaProblem("file", "the lock has no environment `default`", f"it has {names}")
    subdir = str(Subdir.current())
    platforms = {platform.name: platform for platform in environment.platforms()}
    platform = platforms.get(subdir)
    if platform is None:
        why = f"it is for {', '.join(sorted(platforms))}"
        raise CondaProblem("file", f"the lock is not for this machine, which is {subdir}", why)
    records = environment.conda_repodata_records_for_platform(platform) or []
    requirements = []
    for package in environment.pypi_packages_for_platform(platform) or []:
        location = _make_absolute(package.location, directory)
        version, digest = str(package.version), _read_hash(package)
        requirements.append(format_requirement(package.name, version, location, digest))
    return records, requirements


def _read_hash(package: LockedPackage) -> str:
    try:
        digest = package.hashes.sha256 if package.hashes else None
    except AttributeError:
        # py-rattler 0.28 wraps the absence of all hashes.
        return ""
    return digest.hex() if digest else ""


def _make_absolute(location: str, directory: str) -> str:
    if re.match(r"[a-z+]+://|git\+", location):
        return location
    return (Path(directory) / location).resolve().as_uri()


async def _find_archives(
    archives: Iterable[Mapping[str, str]], channels: Sequence[str]
) -> list[RepoDataRecord]:
    """Return the records of packages by their URLs. Raises CondaProblem for a missing one.

    A lock of URLs has too little of a package to link it; its channel has the rest.
    """
    required: dict[tuple[str, str], dict[str, Mapping[str, str]]] = {}
    for archive in archives:
        base, subdir, name = archive["url"].rsplit("/", 2)
        base = _find_channel(base, channels) or base
        required.setdefault((base, subdir), {})[name] = archive
    records = []
    with TemporaryDirectory(prefix="tljh-lock-") as scratch:
        gateway = Gateway(cache_dir=Path(scratch), client=make_network_client())
        for (base, subdir), files in required.items():
            names = sorted({name.rsplit("-", 2)[0] for name in files})
            answer = await gateway.query([Channel(base)], [Subdir(subdir)], names, recursive=False)
            offered = {record.file_name: record for some in answer for record in some}
            records += [_select(offered, name, files[name]) for name in files]
    return records


def _select(
    offered: Mapping[str, RepoDataRecord], name: str, archive: Mapping[str, str]
) -> RepoDataRecord:
    record = offered.get(name)
    if record is None:
        raise CondaProblem("missing", f"the channel has no {name}", redact_channel(archive["url"]))
    for kind, digest in (("sha256", record.sha256), ("md5", record.md5)):
        if archive[kind] and digest and archive[kind] != digest.hex():
            why = f"its {kind} is {digest.hex()}, and the file asks for {archive[kind]}"
            raise CondaProblem("package", f"{name} of the channel is another package", why)
    return record


async def _solve_exactly(request: Mapping[str, Any]) -> list[RepoDataRecord]:
    with TemporaryDirectory(prefix="tljh-solve-") as scratch:
        return await rattler_solve(
            [Channel(url) for url in request["channels"]],
            request["specs"],
            gateway=Gateway(cache_dir=Path(scratch), client=make_network_client()),
            virtual_packages=VirtualPackage.detect(),
        )


def _use_channel(record: RepoDataRecord, channels: Sequence[str]) -> RepoDataRecord:
    """Return the record with the URL of a configured channel of the same name, such as a mirror.

    The package's hash is that of the file, whatever the channel.
    """
    base, subdir, name = record.url.rsplit("/", 2)
    channel = _find_channel(base, channels)
    if channel is None or channel == base:
        return record
    return RepoDataRecord(record, name, f"{channel}/{subdir}/{name}", channel)


def _find_channel(base: str, channels: Sequence[str]) -> str | None:
    """Return the configured channel with a URL, or with the same last part of its path."""
    name = base.rstrip("/").rpartition("/")[2]
    for channel in channels:
        if redact_channel(channel.rstrip("/")) == redact_channel(base.rstrip("/")):
            return channel.rstrip("/")
    same = [c.rstrip("/") for c in channels if c.rstrip("/").rpartition("/")[2] == name]
    return same[0] if same else None


# From records to changes


def _compare(
    prefix: Path,
    installed: Sequence[PrefixRecord],
    records: Sequence[RepoDataRecord] | None,
    requirements: Sequence[str],
) -> dict[str, Any]:
    """Return what changes so that the environment has exactly these packages.

    Without records, conda's packages stay, and those of the requirements that conda has in the
    same version are met.
    """
    before = {record.name.normalized: record for record in installed}
    desired = before if records is None else {r.name.normalized: r for r in records}
    rows = [] if records is None else package_plans.list_changes(before, list(desired.values()))
    changed = {row["name"] for row in rows}
    for name in sorted(desired.keys() & before.keys() - changed):
        new, sha256 = desired[name], before[name].sha256
        if new.sha256 and sha256 and new.sha256 != sha256:
            version = f"{new.version} {new.build}"
            rows.append(_make_row(name, version, version, new.size or 0))
    from_pip = find_distributions_without_record(prefix, installed)
    current = {item.name: item for item in list_pip_requirements(prefix, from_pip)}
    required = {item.name: item for item in map(parse_requirement, requirements)}
    is_python_new = records is not None and _changes_python(prefix, desired)
    present = select_distribution_versions(prefix)
    pip_rows = []
    for name in sorted(required.keys() | from_pip.keys()):
        item, old = required.get(name), from_pip.get(name)
        if item is None:
            pip_rows.append(_make_row(name, old, None))
        elif is_python_new or not item.is_met_by(current.get(name), present.get(name)):
            pip_rows.append(_make_row(name, present.get(name), item.version or item.text))
    uninstall = sorted(from_pip if is_python_new else from_pip.keys() - required.keys())
    all_rows = [*rows, *pip_rows]
    by_conda = package_plans.list_distributions(installed)
    return {
        "lock": _format(desired.values()) if rows or by_conda & set(uninstall) else None,
        "changes": all_rows,
        "requirements": ["\n".join(requirements)] if all_rows and requirements else [],
        "uninstall": uninstall,
        "reinstall": sorted(by_conda & set(uninstall)),
        "shadowed": sorted({row["name"] for row in pip_rows if row["new"]} & by_conda),
        "specs": _list_roots(desired.values(), before) if rows else [],
        "removed": [row["name"] for row in rows if row["new"] is None],
        "conda_versions": {name: str(record.version) for name, record in desired.items()},
        "pip_versions": {name: item.version or "" for name, item in required.items()},
    }


def _make_row(name: str, old: str | None, new: str | None, download: int = 0) -> dict[str, Any]:
    return {"name": name, "old": old, "new": new, "download": download, "freed": 0}


def _changes_python(prefix: Path, desired: Mapping[str, RepoDataRecord]) -> bool:
    python = desired.get("python")
    new = ".".join(str(python.version).split(".")[:2]) if python else None
    return new != find_python_version(prefix)


def _format(records: Iterable[RepoDataRecord]) -> str:
    some = list(records)
    channels = [Channel(url) for url in sorted({record.channel or "" for record in some} - {""})]
    with TemporaryDirectory(prefix="tljh-lock-") as scratch:
        return format_lock(channels, some, Path(scratch) / "lock.yml")


def _list_roots(records: Iterable[RepoDataRecord], before: Mapping[str, PrefixRecord]) -> list[str]:
    """Return the new packages that no other one needs: those that somebody had asked for."""
    some = list(records)
    needed = {text.split()[0] for record in some for text in record.depends}
    return sorted({record.name.normalized for record in some} - needed - before.keys())
