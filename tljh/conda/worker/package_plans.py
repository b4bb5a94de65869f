"""Plans of package changes that an admin asks for: which packages come, change and go.

Writes nothing but temporary directories.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rattler import (
    Channel,
    Gateway,
    MatchSpec,
    PrefixRecord,
    RepoDataRecord,
    Subdir,
    VirtualPackage,
)
from rattler import solve as rattler_solve
from rattler.exceptions import SolverError

from tljh.conda.channels import redact_channel
from tljh.conda.environment import parse_distributions
from tljh.conda.worker.events import CondaProblem
from tljh.conda.worker.prefix import (
    find_distributions_without_record,
    read_pinned_specs,
    read_prefix_records,
)
from tljh.conda.worker.solving import format_lock, make_network_client

# The newest versions of a package that a search reports.
MAX_VERSIONS = 10


async def plan_packages(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a request to install, remove or update packages with a lock and a row for each change.

    All other packages stay; they change their version only where the request needs that.
    """
    prefix = Path(request["prefix"])
    installed = read_prefix_records(prefix)
    records = {record.name.normalized: record for record in installed}
    from_pip = find_distributions_without_record(prefix, installed)
    action, specs = request["action"], list(request["specs"])
    names = [_get_name(spec) for spec in specs]
    if action != "install":
        _require_installed(names, records, from_pip)
    outgoing: set[str] = set()
    if action == "remove":
        outgoing = _find_outgoing(names, records, request["protected"])
        specs = []
    unlocked = (set(names) or set(records)) if action == "update" else set()
    locked = [record for name, record in records.items() if name not in outgoing | unlocked]
    question = _Question(
        channels=[Channel(url) for url in request["channels"]],
        specs=[*specs, *sorted(records.keys() - outgoing - set(names))],
        locked=locked,
        constraints=[*read_pinned_specs(prefix), *request["constraints"]],
        # The newest version of a new package may need other versions of what is there. An older
        # one that needs no such change is better for the users of all other packages.
        unchanged=[record for record in locked if record.name.normalized not in names],
    )
    solved, lock = await _solve(question)
    changes = list_changes(records, solved)
    incoming = {change["name"] for change in changes if change["new"]}
    return {
        "lock": lock,
        "changes": changes,
        "replaced_from_pip": sorted(from_pip.keys() & incoming),
        "reinstall": sorted(from_pip.keys() & incoming & records.keys()),
    }


@dataclass(frozen=True)
class _Question:
    """What a plan asks the solver; `unchanged` are packages that it may change only if it must."""

    channels: Sequence[Channel]
    specs: Sequence[str]
    locked: Sequence[PrefixRecord]
    constraints: Sequence[str]
    unchanged: Sequence[PrefixRecord]


async def _solve(question: _Question) -> tuple[list[RepoDataRecord], str]:
    """Return the packages of a solution, and the text of their lock."""
    with TemporaryDirectory(prefix="tljh-solve-") as scratch:
        gateway = Gateway(cache_dir=Path(scratch), client=make_network_client())
        for pinned in (question.unchanged, ()):
            try:
                solved = await rattler_solve(
                    question.channels,
                    question.specs,
                    gateway=gateway,
                    locked_packages=question.locked,
                    pinned_packages=pinned,
                    virtual_packages=VirtualPackage.detect(),
                    constraints=question.constraints,
                )
            except SolverError:
                if not pinned:
                    raise
                continue
            lock = format_lock(list(question.channels), solved, Path(scratch) / "lock.yml")
            return solved, lock
    raise RuntimeError("the last attempt has no pins, and raises")


def _get_name(spec: str) -> str:
    name = MatchSpec(spec).name
    if name is None:
        raise CondaProblem("request", f"{spec!r} names no package")
    return str(getattr(name, "normalized", name)).lower()


def _require_installed(
    names: Iterable[str], records: Collection[str], from_pip: Collection[str]
) -> None:
    missing = sorted(set(names) - set(records))
    if by_pip := [name for name in missing if name in from_pip]:
        raise CondaProblem("from_pip", f"{', '.join(by_pip)} was installed by pip")
    if missing:
        raise CondaProblem("absent", f"{', '.join(missing)} is not installed")


def _find_outgoing(
    names: Sequence[str], records: Mapping[str, PrefixRecord], protected: Collection[str]
) -> set[str]:
    """Return what is removed with packages: what needs them, and what nothing needs any more.

    A dependency goes where no admin asked for it by name. Raises CondaProblem where a protected
    package would go.
    """
    depends = {
        name: {_get_name(spec) for spec in record.depends} for name, record in records.items()
    }
    outgoing = set(names)
    while needing := {n for n, needs in depends.items() if n not in outgoing and needs & outgoing}:
        outgoing |= needing
    if needed := sorted(outgoing & set(protected)):
        raise CondaProblem(
            "protected",
            f"{', '.join(needed)} cannot be removed",
            "servers of users need it"
            if set(needed) & set(names)
            else f"it needs {', '.join(names)}, and servers of users need it",
        )
    candidates: set[str] = set()
    reached = set(outgoing)
    while reached:
        candidates |= reached
        reached = {n for name in reached for n in depends[name] if n in records} - candidates
    while True:
        unused = {
            name
            for name in candidates - outgoing - set(protected)
            if not (records[name].requested_specs or records[name].requested_spec)
            and not any(name in depends[other] for other in records.keys() - outgoing - {name})
        }
        if not unused:
            return outgoing
        outgoing |= unused


def list_changes(
    before: Mapping[str, PrefixRecord], solved: Sequence[RepoDataRecord]
) -> list[dict[str, Any]]:
    """Return a row for each package that is new, changed or removed, with its sizes in bytes.

    `download` is the size of the archive, `freed` that of the files that go.
    """
    after = {record.name.normalized: record for record in solved}
    rows = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old and new and (str(old.version), str(old.build)) == (str(new.version), str(new.build)):
            continue
        rows.append(
            {
                "name": name,
                "old": str(old.version) if old else None,
                "new": str(new.version) if new else None,
                "download": (new.size or 0) if new else 0,
                "freed": sum(p.size_in_bytes or 0 for p in old.paths_data.paths) if old else 0,
            }
        )
    return rows


def list_distributions(records: Iterable[PrefixRecord]) -> set[str]:
    """Return the names of the Python distributions that conda packages have brought."""
    paths = {path.parent.name for record in records for path in record.files}
    return set(parse_distributions(path for path in paths if path.endswith(".dist-info")))


def list_packages(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return name, version and source of each package in an environment, pip's included."""
    prefix = Path(request["prefix"])
    records = read_prefix_records(prefix)
    rows = [
        {
            "name": record.name.normalized,
            "version": str(record.version),
            "build": str(record.build),
            "channel": redact_channel((record.channel or "").rstrip("/")),
        }
        for record in records
    ]
    from_pip = find_distributions_without_record(prefix, records)
    rows += [
        {"name": name, "version": version, "build": "", "channel": "pip"}
        for name, version in from_pip.items()
    ]
    return {"rows": sorted(rows, key=lambda row: row["name"])}


async def search(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the packages whose name contains a text, each with its newest versions."""
    channels = [Channel(url) for url in request["channels"]]
    platforms = [Subdir.current(), Subdir("noarch")]
    with TemporaryDirectory(prefix="tljh-search-") as scratch:
        gateway = Gateway(cache_dir=Path(scratch), client=make_network_client())
        text = request["text"].lower().strip("*")
        everything = {name.normalized for name in await gateway.names(channels, platforms)}
        matching = sorted(name for name in everything if text in name)
        # The package of exactly this name comes first, then those that begin with it.
        matching.sort(key=lambda name: (name != text, not name.startswith(text)))
        matching = matching[: request["most"]]
        answer = await gateway.query(channels, platforms, matching, recursive=False)
    versions: dict[str, list[Any]] = {name: [] for name in matching}
    for records in answer:
        for record in records:
            versions[record.name.normalized].append(record.version)
    rows = [{"name": n, "versions": _list_newest(some)} for n, some in versions.items() if some]
    return {"rows": rows}


def _list_newest(versions: Iterable[Any]) -> list[str]:
    newest = {str(version): None for version in sorted(versions, reverse=True)}
    return list(newest)[:MAX_VERSIONS]
