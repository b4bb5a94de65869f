"""The export of the hub to a directory: planning, writing, and looking what has changed since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any, Literal

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.export.comparison import compare_secrets, compare_states
from tljh.export.files import DATABASE, Export, build_export, digest, get_mode
from tljh.export.hub_state import ImageReference
from tljh.host.bundle_archive import scratch_directory
from tljh.host.interface import Host, HostReader
from tljh.operations.converge import LOCK_TIMEOUT_S
from tljh.operations.kubernetes_database import convert_database
from tljh.operations.kubernetes_facts import (
    read_applied_configuration,
    read_environment,
    read_hub,
)

# What an export knows of itself: by it, a directory is recognized.
RECORD = "export.json"
FORMAT = 1
_SCRATCH = "tljh-export-"

Change = Literal["+", "~", "-", "="]


@dataclass(frozen=True)
class ExportRecord:
    """What an earlier export wrote into a directory.

    `files` has the sha256 of each file, by name. An export that was interrupted is not complete.
    """

    image: ImageReference
    files: Mapping[str, str]
    state: Mapping[str, Any]
    is_complete: bool

    def as_bytes(self) -> bytes:
        content = {
            "format": FORMAT,
            "complete": self.is_complete,
            "image": {"name": self.image.name, "tag": self.image.tag},
            "files": dict(sorted(self.files.items())),
            "state": self.state,
        }
        return json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> ExportRecord | None:
        try:
            content = json.loads(data)
            if content["format"] != FORMAT:
                return None
            image = ImageReference(content["image"]["name"], content["image"]["tag"])
            return cls(image, content["files"], content["state"], content["complete"])
        except (ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True)
class PlannedExport:
    """The files of an export, with what writing each would do to the directory."""

    directory: Path
    export: Export
    image: ImageReference
    changes: Mapping[str, Change]

    @property
    def is_empty(self) -> bool:
        return all(change == "=" for change in self.changes.values())


def parse_image(text: str) -> ImageReference:
    """Return the image that a reference names; it has to have a tag."""
    name, colon, tag = text.rpartition(":")
    if not colon or "/" in tag or not name or not tag or " " in text or "@" in text:
        raise TljhError(
            f"this is no image with a tag: {text!r}",
            fix="write it like registry.example.org/hub/users:1",
        )
    return ImageReference(name, tag)


def read_record(host: HostReader, directory: Path) -> ExportRecord | None:
    """Return what an earlier export wrote; None for a directory that is missing or empty.

    Raises TljhError for one that an export must not write into.
    """
    info = host.info(directory)
    if info is None:
        if host.info(directory.parent, follow=True) is None:
            raise TljhError(
                f"{directory} cannot be made: there is no {directory.parent}",
                fix=f"sudo mkdir -p {quote(str(directory.parent))}",
            )
        return None
    if info.kind != "directory":
        raise TljhError(f"{directory} is not a directory", fix="name another place")
    if info.owner != "root" or info.mode & 0o022:
        raise TljhError(
            f"{directory} is not root's alone: {info.owner}'s, of mode {info.mode:04o}",
            why="the export has the hub's secrets in it",
            fix="name a directory that does not exist yet",
        )
    if not host.listdir(directory):
        return None
    record = ExportRecord.parse(host.read(directory / RECORD) or b"")
    if record is None:
        raise TljhError(
            f"{directory} has files that no export wrote",
            fix="name a directory that does not exist yet, or an empty one",
        )
    return record


def plan_export(
    host: Host, paths: Paths, directory: Path, image: ImageReference | None, progress: Progress
) -> PlannedExport:
    """Return the files of an export of the hub as it is, and what of the directory would change."""
    record = read_record(host, directory)
    image = image or (record.image if record is not None else ImageReference())
    export = _build(host, paths, image, progress)
    export = _keep_database(host, directory, record, export)
    changes: dict[str, Change] = {}
    for name, data in export.files.items():
        current = host.read(directory / name)
        changes[name] = "+" if current is None else "=" if current == data else "~"
    for name in record.files if record is not None else ():
        if name not in export.files and host.info(directory / name) is not None:
            changes[name] = "-"
    if record is not None and record.is_complete:
        _refuse_edited(host, directory, record, changes)
    return PlannedExport(directory, export, image, dict(sorted(changes.items())))


def _build(host: Host, paths: Paths, image: ImageReference, progress: Progress) -> Export:
    read_applied_configuration(host, paths)
    with progress.step("read the user environment"):
        # Before the lock: a command that changes the environment holds both.
        environment = read_environment(host, paths)
    with (
        host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S),
        scratch_directory(paths.cache, _SCRATCH) as scratch,
    ):
        config = read_applied_configuration(host, paths)
        with progress.step("convert a copy of the database"):
            database = convert_database(host, paths, scratch)
        with progress.step("read users and homes"):
            hub = read_hub(host, paths, config, image, database.logins)
    hub = replace(hub, widened_tokens=database.widened_tokens)
    return build_export(hub, str(paths.prefix), environment, database.data, database.rows)


def _keep_database(
    host: HostReader, directory: Path, record: ExportRecord | None, export: Export
) -> Export:
    """Return the export with the copy of the database that is there, if it has the same rows."""
    if record is None or record.state.get("database") != export.state["database"]:
        return export
    current = host.read(directory / DATABASE)
    if current is None or digest(current) != record.files.get(DATABASE):
        return export
    return Export({**export.files, DATABASE: current}, export.state, export.decisions)


def _refuse_edited(
    host: HostReader, directory: Path, record: ExportRecord, changes: Mapping[str, Change]
) -> None:
    """Raise TljhError where a file would be replaced that is not as the last export wrote it."""
    replaced = {name for name, change in changes.items() if change in ("~", "-")}
    edited = [name for name in find_edited(host, directory, record) if name in replaced]
    if edited:
        raise TljhError(
            f"files of the export were edited: {', '.join(edited)}",
            why="the export would replace them",
            fix="move your changes to an own file, such as site.yaml; then remove these files and "
            "export again",
        )


def find_edited(host: HostReader, directory: Path, record: ExportRecord) -> list[str]:
    """Return the files that exist, and are not as the last export wrote them."""
    return [
        name
        for name, expected in record.files.items()
        if (data := host.read(directory / name)) is not None and digest(data) != expected
    ]


def write_export(host: Host, planned: PlannedExport) -> None:
    """Write what differs. Killed at any moment, the next export goes on from what is there."""
    directory, files = planned.directory, planned.export.files
    sums = {name: digest(data) for name, data in files.items()}
    leftover = [name for name, change in planned.changes.items() if change == "-"]
    done = ExportRecord(planned.image, sums, planned.export.state, is_complete=True)
    if planned.is_empty and host.read(directory / RECORD) == done.as_bytes():
        return
    if host.info(directory) is None:
        host.mkdir(directory, mode=0o700)
    host.chmod(directory, mode=0o700, owner="root", group="root")
    # First, with all names: by it, the files of an interrupted export are recognized as its own.
    begun = {**sums, **dict.fromkeys(leftover, "")}
    host.write(
        directory / RECORD,
        ExportRecord(planned.image, begun, {}, is_complete=False).as_bytes(),
        mode=0o600,
    )
    for name in sorted({str(Path(name).parent) for name in files} - {"."}):
        if host.info(directory / name) is None:
            host.mkdir(directory / name, mode=0o755)
    for name, data in files.items():
        if planned.changes[name] != "=":
            host.write(directory / name, data, mode=get_mode(name))
    for name in leftover:
        host.remove(directory / name)
    host.write(directory / RECORD, done.as_bytes(), mode=0o600)


# -- what has changed since --


@dataclass(frozen=True)
class HubDifference:
    """Something of the hub that is not as it was when it was exported."""

    kind: str
    what: str


def find_differences(
    host: Host, paths: Paths, directory: Path, progress: Progress
) -> list[HubDifference]:
    """Return what has changed in the hub since an export. Raises TljhError for no export."""
    record = read_record(host, directory)
    if record is None:
        raise TljhError(
            f"there is no export in {directory}",
            fix=f"sudo tljh export z2jh {quote(str(directory))}",
        )
    if not record.is_complete:
        raise TljhError(
            f"the export in {directory} was interrupted",
            fix=f"sudo tljh export z2jh {quote(str(directory))}",
        )
    export = _build(host, paths, record.image, progress)
    differences = [HubDifference(*pair) for pair in compare_states(record.state, export.state)]
    for name, kind in (("secrets.yaml", "secrets"), ("hub/passwords.json", "passwords")):
        before, after = host.read(directory / name) or b"", export.files.get(name, b"")
        differences += [HubDifference(kind, what) for what in compare_secrets(name, before, after)]
    differences += [
        HubDifference("files", f"{name} was edited here")
        for name in find_edited(host, directory, record)
    ]
    differences += [
        HubDifference("files", f"{name} is missing here")
        for name in record.files
        if host.info(directory / name) is None
    ]
    return differences
