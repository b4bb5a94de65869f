"""The conda-meta directory of an environment: package records, pins, history."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rattler import MatchSpec, PrefixRecord

from tljh.conda.channels import ALIAS, redact_channel
from tljh.conda.environment import parse_distributions
from tljh.conda.worker.recorded_files import find_python_version

# conda takes the history's format from it. Any current version will do.
HISTORY_CONDA_VERSION = "25.1.0"


def read_prefix_records(prefix: Path) -> list[PrefixRecord]:
    return [PrefixRecord.from_path(path) for path in _find_record_files(prefix)]


def _find_record_files(prefix: Path) -> list[Path]:
    return sorted((prefix / "conda-meta").glob("*.json"))


def read_pinned_specs(prefix: Path) -> list[str]:
    """Return the specs that an admin has pinned in conda-meta/pinned."""
    try:
        lines = (prefix / "conda-meta" / "pinned").read_text().splitlines()
    except OSError:
        return []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def list_requested_specs(records: Sequence[PrefixRecord], specs: Sequence[str]) -> list[str]:
    """Return what admins asked for: earlier, as the records have it, and now by `specs`.

    rattler's transaction clears it from the records of packages that are not asked for again.
    """
    names = {MatchSpec(spec).name for spec in specs}
    earlier = [
        spec
        for record in records
        # conda writes the second form.
        for spec in (record.requested_specs or filter(None, [record.requested_spec]))
        if MatchSpec(spec).name not in names
    ]
    return [*earlier, *specs]


def use_installed_paths(prefix: Path) -> None:
    """Correct the paths in conda's records of noarch packages to where the files are.

    conda records `site-packages/…` as in the archive. rattler takes that for a path of the prefix,
    so an update would remove the record and leave the old files.
    """
    short = find_python_version(prefix)
    if short is None:
        return
    places = {"site-packages/": f"lib/python{short}/site-packages/", "python-scripts/": "bin/"}
    for file in _find_record_files(prefix):
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
    prefix: Path,
    before: Iterable[str],
    after: Iterable[str],
    specs: Sequence[str],
    command: str,
    removed: Sequence[str] = (),
) -> None:
    """Append a transaction to conda's history, in conda's format.

    rattler writes no history, and without it `conda remove` would plan to remove everything.
    `before` and `after` are packages as `channel/subdir::name-version-build`.
    """
    old, new = set(before), set(after)
    if old == new and not specs:
        return
    time = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    lines = [f"==> {time} <==", f"# cmd: {command}", f"# conda version: {HISTORY_CONDA_VERSION}"]
    lines += [f"-{name}" for name in sorted(old - new)]
    lines += [f"+{name}" for name in sorted(new - old)]
    for verb, texts in (("update", specs), ("remove", removed)):
        if texts:
            quoted = ", ".join(f"'{text}'" for text in texts)
            lines.append(f"# {verb} specs: [{quoted}]")
    path = prefix / "conda-meta" / "history"
    earlier = path.read_text() if path.exists() else ""
    replace_text(path, earlier + "\n".join(lines) + "\n")


def parse_distribution_name(record: Any) -> str:
    """Return a package as conda's history spells it: channel, name, version and build.

    All users can read the history, so the channel is redacted.
    """
    channel = redact_channel((record.channel or "").rstrip("/")).removeprefix(ALIAS)
    return f"{channel}/{record.subdir}::{record.name.normalized}-{record.version}-{record.build}"


def find_distributions_without_record(
    prefix: Path, records: Sequence[PrefixRecord]
) -> dict[str, str]:
    """Return the versions of the distributions that no conda package owns: pip installed them."""
    short = find_python_version(prefix)
    if short is None:
        return {}
    site_packages = prefix / "lib" / f"python{short}" / "site-packages"
    owned = {name for record in records for name in _find_dist_infos(record)}
    installed = {path.name for path in site_packages.glob("*.dist-info")}
    return parse_distributions(installed - owned)


def map_distributions_to_owners(
    prefix: Path, records: Sequence[PrefixRecord], names: Sequence[str]
) -> set[str]:
    """Return the conda packages that own the distributions `names`."""
    return {
        record.name.normalized
        for record in records
        if set(parse_distributions(_find_dist_infos(record))) & set(names)
    }


def _find_dist_infos(record: PrefixRecord) -> set[str]:
    return {p.parent.name for p in record.files if p.parent.name.endswith(".dist-info")}


def remove_byte_code(prefix: Path, outgoing: Iterable[PrefixRecord]) -> None:
    """Remove the byte code of files that are about to be replaced.

    Python accepts byte code by its source's time and size. Reproducible builds give all files
    one time, so old byte code would run for a new file of the same size. py-rattler 0.28
    removes it for noarch packages only.
    """
    for record in outgoing:
        for path in record.files:
            if path.suffix == ".py":
                for compiled in (prefix / path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
                    compiled.unlink()


def replace_text(path: Path, text: str) -> None:
    """Replace a file, never write into it: it may be a hard link into a snapshot or the cache."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.chmod(0o644)
    temporary.replace(path)
