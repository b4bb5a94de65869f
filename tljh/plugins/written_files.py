"""What a plugin's own actions at an installation left on the machine, so that it goes with it.

TLJH's `tljh_post_install` does what it likes. Files that it opens for writing are seen by Python's
audit events; files that its programs make are seen where programs leave files that act by
themselves: directories of drop-ins, of units, of cron and of sudo.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tljh.base.paths import Paths
from tljh.host.interface import Host, HostReader

# Where what plugins write is not theirs alone, or not meant to stay.
_NOT_RECORDED = (
    *("/proc/", "/dev/", "/sys/", "/run/", "/tmp/", "/var/tmp/", "/var/cache/", "/root/"),
    *("/var/lib/dpkg/", "/var/lib/apt/", "/var/log/", "/home/"),
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_MOST_FILES = 1000


@dataclass(frozen=True)
class Written:
    """What one plugin left: digests of files by path, directories, sections of config.yaml."""

    files: Mapping[str, str] = field(default_factory=dict)
    directories: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "files": dict(self.files),
            "directories": list(self.directories),
            "sections": list(self.sections),
        }


@dataclass
class _Recorder:
    opened: set[str] = field(default_factory=set)
    directories: set[str] = field(default_factory=set)


class _AuditState:
    """The recorder that is active; the audit hook of a process cannot be removed."""

    recorder: _Recorder | None = None
    is_installed = False


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    recorder = _AuditState.recorder
    if recorder is None:
        return
    path: Any = None
    if event == "open":
        flags = arguments[2] if isinstance(arguments[2], int) else 0
        path = arguments[0] if flags & _WRITING else None
    elif event == "os.mkdir":
        path = arguments[0]
    elif event in ("os.rename", "os.symlink", "os.link"):
        path = arguments[1]
    # An exception here would be raised in the plugin: a path may be one that cannot exist.
    with contextlib.suppress(OSError, ValueError):
        if not isinstance(path, (str, Path)) or Path(path).exists():
            return
        # Not resolved: a link is what the plugin makes, not what it leads to.
        absolute = str(Path.cwd() / path)
        (recorder.directories if event == "os.mkdir" else recorder.opened).add(absolute)


def _list_watched(paths: Paths) -> tuple[Path, ...]:
    return (
        paths.hub_drop_ins,
        paths.traefik_drop_ins,
        paths.rules_dir,
        paths.units_dir,
        paths.sudoers.parent,
        paths.profile.parent,
        *map(Path, ("/etc/cron.d", "/etc/cron.daily")),
        *map(Path, ("/etc/apt/sources.list.d", "/etc/tmpfiles.d", "/usr/local/bin")),
    )


@contextlib.contextmanager
def record_writes(host: HostReader, paths: Paths) -> Iterator[list[Written]]:
    """Record what is written during the block; the list has it, as its only item, afterwards."""
    result: list[Written] = []
    before = {path: set(host.listdir(path)) for path in _list_watched(paths)}
    recorder = _Recorder()
    if not _AuditState.is_installed:
        sys.addaudithook(_audit)
        _AuditState.is_installed = True
    _AuditState.recorder = recorder
    try:
        yield result
    finally:
        _AuditState.recorder = None
        opened = set(recorder.opened)
        for path, names in before.items():
            opened |= {str(path / name) for name in set(host.listdir(path)) - names}
        files = {
            path: digest
            for path in sorted(opened)
            if _is_recorded(path, paths)
            for digest in [compute_digest(host, Path(path))]
            if digest is not None
        }
        directories = sorted(path for path in recorder.directories if _is_recorded(path, paths))
        result.append(Written(dict(list(files.items())[:_MOST_FILES]), tuple(directories)))


def _is_recorded(path: str, paths: Paths) -> bool:
    # Byte code and packages of the environments go with these.
    ours = (f"{paths.versions}/", f"{paths.user}/", f"{paths.hub}/", f"{paths.state_dir}/")
    is_rule = path.startswith(f"{paths.rules_dir}/")
    return is_rule or not path.startswith((*_NOT_RECORDED, *ours))


def compute_digest(host: HostReader, path: Path) -> str | None:
    """Return what identifies a file or link as it is; None for anything else."""
    target = host.readlink(path)
    if target is not None:
        return f"link {target}"
    data = host.read(path)
    return None if data is None else hashlib.sha256(data).hexdigest()


def read_written(host: HostReader, paths: Paths) -> dict[str, Written]:
    """Return what each plugin left on the machine."""
    try:
        values = json.loads(host.read(paths.plugin_writes) or b"{}")
        return {
            name: Written(dict(each["files"]), tuple(each["directories"]), tuple(each["sections"]))
            for name, each in values.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def format_written(written: Mapping[str, Written]) -> bytes:
    """Return the file that `read_written` reads."""
    values = {name: each.as_json() for name, each in written.items()}
    return json.dumps(values, indent=1, sort_keys=True).encode() + b"\n"


def add_written(host: Host, paths: Paths, more: Mapping[str, Written]) -> None:
    """Add what plugins wrote now to what they wrote before."""
    written = read_written(host, paths)
    for name, each in more.items():
        old = written.get(name, Written())
        # A file that the plugin writes again has its newest content.
        files = {
            path: compute_digest(host, Path(path)) or digest for path, digest in old.files.items()
        }
        written[name] = Written(
            {**files, **each.files},
            tuple(dict.fromkeys((*old.directories, *each.directories))),
            tuple(dict.fromkeys((*old.sections, *each.sections))),
        )
    written = {name: each for name, each in written.items() if each != Written()}
    if written and format_written(written) != host.read(paths.plugin_writes):
        host.write(paths.plugin_writes, format_written(written), mode=0o600)
