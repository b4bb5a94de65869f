"""What conda keeps about an environment in its conda-meta directory: reading and mending it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rattler import PrefixRecord

from tljh.conda.channels import ALIAS, redact_channel
from tljh.conda.environment import distributions

# Named in the history so that conda knows which format it reads; any current version does.
HISTORY_CONDA_VERSION = "25.1.0"


def prefix_records(prefix: Path) -> list[PrefixRecord]:
    return [PrefixRecord.from_path(path) for path in _record_files(prefix)]


def _record_files(prefix: Path) -> list[Path]:
    return sorted((prefix / "conda-meta").glob("*.json"))


def pinned_specs(prefix: Path) -> list[str]:
    """Specs that an admin has pinned in conda's own way."""
    try:
        lines = (prefix / "conda-meta" / "pinned").read_text().splitlines()
    except OSError:
        return []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def python_short(prefix: Path) -> str | None:
    """Like 3.12; None for an environment without Python."""
    for path in (prefix / "conda-meta").glob("python-[0-9]*-*.json"):
        return ".".join(path.name.split("-")[1].split(".")[:2])
    return None


def use_installed_paths(prefix: Path) -> None:
    """Write into noarch records where their files really lie.

    conda notes `site-packages/…` as in the archive; rattler reads that as a path of the
    prefix, then removes the record and leaves the files.
    """
    short = python_short(prefix)
    if short is None:
        return
    places = {"site-packages/": f"lib/python{short}/site-packages/", "python-scripts/": "bin/"}
    for file in _record_files(prefix):
        record = json.loads(file.read_text())
        if _remap(record, places):
            replace_text(file, json.dumps(record, indent=2))


def _remap(record: dict[str, Any], places: dict[str, str]) -> bool:
    changed = False
    for entry in record.get("paths_data", {}).get("paths", []):
        for archived, installed in places.items():
            if entry["_path"].startswith(archived):
                entry["_path"] = installed + entry["_path"].removeprefix(archived)
                changed = True
    return changed


def append_history(
    prefix: Path, before: Iterable[str], after: Iterable[str], specs: Sequence[str], command: str
) -> None:
    """Tell conda what was done and asked for; without it `conda remove` would remove everything.

    `before` and `after` are `channel/subdir::name-version-build`.
    """
    old, new = set(before), set(after)
    if old == new and not specs:
        return
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    lines = [f"==> {now} <==", f"# cmd: {command}", f"# conda version: {HISTORY_CONDA_VERSION}"]
    lines += [f"-{name}" for name in sorted(old - new)]
    lines += [f"+{name}" for name in sorted(new - old)]
    if specs:
        quoted = ", ".join(f"'{spec}'" for spec in specs)
        lines.append(f"# update specs: [{quoted}]")
    path = prefix / "conda-meta" / "history"
    earlier = path.read_text() if path.exists() else ""
    replace_text(path, earlier + "\n".join(lines) + "\n")


def distribution_name(record: Any) -> str:
    """As conda's history spells it; the file is for all to read, so nothing of access is in it."""
    channel = redact_channel((record.channel or "").rstrip("/")).removeprefix(ALIAS)
    return f"{channel}/{record.subdir}::{record.name.normalized}-{record.version}-{record.build}"


def distributions_without_record(prefix: Path, records: Sequence[PrefixRecord]) -> set[str]:
    """Python distributions that no conda package brought: pip's."""
    short = python_short(prefix)
    if short is None:
        return set()
    site_packages = prefix / "lib" / f"python{short}" / "site-packages"
    owned = {name for record in records for name in _dist_infos(record)}
    there = {path.name for path in site_packages.glob("*.dist-info")}
    return set(distributions(there - owned))


def owners_of_distributions(
    prefix: Path, records: Sequence[PrefixRecord], names: Sequence[str]
) -> set[str]:
    """The conda packages that brought these distributions."""
    return {
        record.name.normalized
        for record in records
        if set(distributions(_dist_infos(record))) & set(names)
    }


def _dist_infos(record: PrefixRecord) -> set[str]:
    return {p.parent.name for p in record.files if p.parent.name.endswith(".dist-info")}


def remove_byte_code(prefix: Path, going: Iterable[PrefixRecord]) -> None:
    """Take away what was compiled from files that are about to be replaced.

    Packages built reproducibly give all files one time, so byte code of the old version
    would pass for the new one's where a file's size stays the same. py-rattler 0.28 sees to
    that for noarch packages only.
    """
    for record in going:
        for path in record.files:
            if path.suffix == ".py":
                for compiled in (prefix / path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
                    compiled.unlink()


def replace_text(path: Path, text: str) -> None:
    """Never write through what may be a hard link into a snapshot or the package cache."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.chmod(0o644)
    temporary.replace(path)
