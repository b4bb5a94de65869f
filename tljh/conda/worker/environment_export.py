"""An environment as a file that reproduces it: a lock, environment.yml or requirements."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rattler import (
    Channel,
    LockChannel,
    LockFile,
    LockPlatform,
    PrefixRecord,
    RepoDataRecord,
    Subdir,
)

from tljh.conda.channels import redact_channel
from tljh.conda.declared_environment import EXPORT_MARK
from tljh.conda.worker import pip_changes
from tljh.conda.worker.events import CondaProblem
from tljh.conda.worker.pip_requirements import (
    PipRequirement,
    list_pip_requirements,
    select_distribution_versions,
)
from tljh.conda.worker.prefix import find_distributions_without_record, read_prefix_records
from tljh.conda.worker.recorded_files import read_wheel_tags

# A file of a package in uv's pylock.toml: `{ url = "…", …, hashes = { sha256 = "…" } }`.
_FILE = re.compile(r'\{ (?:url|path) = "([^"]+)".*?hashes = \{ sha256 = "([0-9a-f]+)" \}')

# How uv reports that it has no answer of an index.
_UNREACHABLE = re.compile(r"Failed to fetch|error sending request|Request failed|timed out", re.I)

_PACKAGE = re.compile(r'^\[\[packages\]\]\nname = "([^"]+)"$', re.MULTILINE)


@dataclass(frozen=True)
class IndexedFile:
    """A file that an index offers for a version of a distribution."""

    url: str
    sha256: str


@dataclass(frozen=True)
class _Exported:
    """What is exported, and a sentence for each part that a file cannot bring back."""

    records: Sequence[PrefixRecord]
    requirements: Sequence[PipRequirement]
    files: Mapping[str, Sequence[IndexedFile]]
    warnings: Sequence[str]


def export(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the text of a file in a format, and warnings about what it cannot reproduce."""
    prefix, name = Path(request["prefix"]), request["format"]
    records = read_prefix_records(prefix)
    from_pip = find_distributions_without_record(prefix, records)
    versions = select_distribution_versions(prefix) if name == "requirements" else from_pip
    requirements = list_pip_requirements(prefix, versions)
    exported = _find_files(prefix, request["uv"], records, requirements, set(from_pip))
    formats = {
        "lock": _format_lock,
        "environment.yml": _format_environment,
        "requirements": _format_requirements,
    }
    body = formats[name](exported, prefix)
    head = [f"{EXPORT_MARK} --format {name}"]
    head += [f"# not reproduced: {line}" for line in exported.warnings]
    return {"text": "\n".join([*head, body]), "warnings": list(exported.warnings)}


def _find_files(
    prefix: Path,
    uv: str,
    records: Sequence[PrefixRecord],
    requirements: Sequence[PipRequirement],
    from_pip: set[str],
) -> _Exported:
    """Ask the index for the files and hashes of distributions; those without any are left out."""
    warnings = [
        f"conda's {record.name.normalized} has no hash in its record"
        for record in records
        if not (record.sha256 or record.md5)
    ]
    indexed = [item for item in requirements if not item.location and not item.lost]
    files = _ask_index(prefix, uv, [item.text for item in indexed])
    kept = []
    for item in requirements:
        has_source = item.location or item.name in files
        if item.lost:
            warnings.append(f"pip's {item.name} {item.version}: {item.lost}")
        elif not has_source and item.name in from_pip:
            warnings.append(f"pip's {item.name} {item.version}: no index has this version")
        elif not has_source:
            warnings.append(f"conda's {item.name} {item.version}: no index of pip has this version")
        # A file on this machine at least works here.
        if has_source:
            kept.append(item)
    return _Exported(records, kept, files, warnings)


def _ask_index(prefix: Path, uv: str, pins: Sequence[str]) -> dict[str, list[IndexedFile]]:
    """Return the files of each pinned requirement that the index has."""
    if not pins:
        return {}
    try:
        return _compile(prefix, uv, pins)
    except CondaProblem as problem:
        # An index that does not answer says nothing about what it has.
        if _UNREACHABLE.search(problem.why):
            raise
        if len(pins) == 1:
            return {}
    # uv reports the first that is missing only. Halves, so that few missing cost few questions.
    middle = len(pins) // 2
    first, second = pins[:middle], pins[middle:]
    return {**_ask_index(prefix, uv, first), **_ask_index(prefix, uv, second)}


def _compile(prefix: Path, uv: str, pins: Sequence[str]) -> dict[str, list[IndexedFile]]:
    with TemporaryDirectory(prefix="tljh-export-") as scratch:
        source, target = Path(scratch) / "requirements.in", Path(scratch) / "pylock.toml"
        source.write_text("".join(f"{pin}\n" for pin in pins))
        command = [uv, "pip", "compile", "--quiet", "--no-deps", "--generate-hashes"]
        command += ["--format", "pylock.toml", "--output-file", str(target)]
        command += ["--python", str(prefix / "bin" / "python"), str(source)]
        failure = "the index cannot be asked for the hashes of packages"
        pip_changes.run_uv(pip_changes.add_index_options(command), failure)
        parts = _PACKAGE.split(target.read_text())
        return {
            name: [_resolve(match, Path(scratch)) for match in _FILE.finditer(text)]
            for name, text in zip(parts[1::2], parts[2::2], strict=True)
        }


def _resolve(match: re.Match[str], directory: Path) -> IndexedFile:
    url = match[1] if "://" in match[1] else (directory / match[1]).resolve().as_uri()
    return IndexedFile(url, match[2])


def _choose_file(item: PipRequirement, exported: _Exported, prefix: Path) -> IndexedFile:
    """Return the file that a distribution was installed from: by its tags, or the source."""
    if item.location:
        return IndexedFile(item.location, item.sha256)
    files = exported.files[item.name]
    tags = read_wheel_tags(prefix, item.name)
    for file in files:
        name = file.url.rpartition("/")[2].partition("#")[0]
        if name.endswith(".whl") and _expand_tags(name) & tags:
            return file
    sources = [file for file in files if not file.url.endswith(".whl")]
    return (sources or list(files))[0]


def _expand_tags(wheel: str) -> set[str]:
    """Return the tags of a wheel by its name, such as py3-none-any for py2.py3-none-any."""
    python, abi, platform = (part.split(".") for part in wheel[:-4].rsplit("-", 3)[1:])
    return {f"{p}-{a}-{m}" for p in python for a in abi for m in platform}


# The formats


def _format_lock(exported: _Exported, prefix: Path) -> str:
    """Return a lock of rattler, which pixi reads, too."""
    platform = LockPlatform(str(Subdir.current()))
    lock = LockFile([platform])
    lock.set_channels("default", [LockChannel(url) for url in _list_channels(exported.records)])
    for record in exported.records:
        lock.add_conda_package("default", platform, _without_secrets(record))
    files = {item.name: _choose_file(item, exported, prefix) for item in exported.requirements}
    for item in exported.requirements:
        version = item.version or "0"
        lock.add_pypi_package("default", platform, item.name, version, files[item.name].url)
    with TemporaryDirectory(prefix="tljh-export-") as scratch:
        path = Path(scratch) / "pixi.lock"
        lock.to_path(path)
        text = path.read_text()
    for item in exported.requirements:
        text = _add_hash(text, item, files[item.name])
    return text


def _add_hash(text: str, item: PipRequirement, file: IndexedFile) -> str:
    """Add the hash of one of pip's packages to a lock; py-rattler 0.28 has no way to do it."""
    if not file.sha256:
        return text
    entry = rf"^(- pypi: .*\n  name: {re.escape(item.name)}\n  version: .*\n)"
    return re.sub(entry, rf"\g<1>  sha256: {file.sha256}\n", text, count=1, flags=re.MULTILINE)


def _without_secrets(record: PrefixRecord) -> RepoDataRecord:
    channel = redact_channel(record.channel or "")
    return RepoDataRecord(record, record.file_name, redact_channel(record.url), channel)


def _list_channels(records: Iterable[PrefixRecord]) -> list[str]:
    urls = (redact_channel((record.channel or "").rstrip("/")) for record in records)
    return list(dict.fromkeys(Channel(url).base_url for url in urls if url))


def _format_environment(exported: _Exported, prefix: Path) -> str:
    lines = ["name: user", "channels:"]
    lines += [f"  - {url.rstrip('/')}" for url in _list_channels(exported.records)]
    lines.append("dependencies:")
    for record in exported.records:
        spec = f"{record.name.normalized}={record.version}={record.build}"
        digest = f"[sha256={record.sha256.hex()}]" if record.sha256 else ""
        lines.append(f'  - "{spec}{digest}"')
    if exported.requirements:
        lines.append("  - pip:")
        lines += [f'      - "{_format_pin(item, exported)}"' for item in exported.requirements]
    return "\n".join(lines) + "\n"


def _format_requirements(exported: _Exported, prefix: Path) -> str:
    return "".join(f"{_format_pin(item, exported)}\n" for item in exported.requirements)


def _format_pin(item: PipRequirement, exported: _Exported) -> str:
    """Return a requirement with the hashes of all its files: another machine may need another."""
    if item.location:
        hashes = [item.sha256] if item.sha256 else []
    else:
        hashes = sorted({file.sha256 for file in exported.files[item.name]})
    return " ".join([item.text, *(f"--hash=sha256:{digest}" for digest in hashes)])
