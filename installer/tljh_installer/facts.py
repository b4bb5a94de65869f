"""Facts about the machine that the bootstrap reads before it writes anything."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tljh.base.package_indexes import PackageIndexes
from tljh.base.tcp_sockets import find_listening_sockets, find_owner_processes, read_process_name
from tljh_installer.index import PackagePages
from tljh_installer.network import FetchError, fetch, without_password
from tljh_installer.options import LOOPBACK_PORTS
from tljh_installer.takeover import find_problems

Previous = Literal["none", "ours", "unfinished", "tljh", "foreign"]

_CHECK_TIMEOUT_S = 15.0
_CHANNEL_ALIAS = "https://conda.anaconda.org/"


@dataclass(frozen=True)
class Listener:
    """A process that listens on a TCP port; `is_ours` if it belongs to our hub or proxy."""

    port: int
    process: str = ""
    pid: int | None = None
    is_ours: bool = False


@dataclass(frozen=True)
class PythonInterpreter:
    """The Python that the hub environment is built on."""

    path: str
    version: tuple[int, ...]
    tag: str = ""


@dataclass(frozen=True)
class MachineFacts:
    """Everything that the preflight checks; the defaults are a machine that qualifies."""

    uid: int = 0
    os_id: str = "debian"
    os_version: str = "12"
    os_name: str = "Debian GNU/Linux 12 (bookworm)"
    architecture: str = "x86_64"
    has_systemd: bool = True
    python: PythonInterpreter = PythonInterpreter("/usr/bin/python3.11", (3, 11, 2), "cpython-311")
    memory_bytes: int = 4 << 30
    free_bytes: Mapping[str, int] = field(default_factory=dict)
    listeners: tuple[Listener, ...] = ()
    previous: Previous = "none"
    previous_detail: str = ""
    takeover_problems: tuple[tuple[str, str], ...] = ()
    foreign_commands: Mapping[str, str] = field(default_factory=dict)
    index_problems: Mapping[str, str] = field(default_factory=dict)
    channel_problems: Mapping[str, str] = field(default_factory=dict)
    clock_offsets_s: tuple[float, ...] = ()


def parse_os_release(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def parse_memory_bytes(meminfo: str) -> int:
    match = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.MULTILINE)
    return int(match.group(1)) * 1024 if match else 0


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def read_listeners(ports: Iterable[int]) -> tuple[Listener, ...]:
    """Return the processes that listen on `ports`, ordered by port."""
    sockets = sorted(find_listening_sockets(ports), key=lambda sock: sock.local_port)
    pid_of_inode = find_owner_processes(sock.inode for sock in sockets)
    listeners = []
    for sock in sockets:
        pid = pid_of_inode.get(sock.inode)
        unit = re.search(r"/(jupyterhub|traefik)\.service", _text(f"/proc/{pid}/cgroup"))
        name = read_process_name(pid) if pid else ""
        listeners.append(Listener(sock.local_port, name, pid, is_ours=unit is not None))
    return tuple(dict.fromkeys(listeners))


def read_previous(prefix: Path) -> tuple[Previous, str]:
    """Return which installation is in `prefix`, and a detail such as its version."""
    try:
        entries = {entry.name for entry in prefix.iterdir()}
    except FileNotFoundError:
        return "none", ""
    except OSError as error:
        return "foreign", str(error)
    hub = prefix / "hub"
    tljh = [*hub.glob("lib/python3*/site-packages/the_littlest_jupyterhub-*.dist-info")]
    if tljh and not hub.is_symlink():
        version = re.search(r"jupyterhub-(.+)\.dist-info", tljh[0].name)
        return "tljh", version.group(1) if version else ""
    if (prefix / "state" / "journal").is_dir() or (
        hub.is_symlink() and hub.readlink().name.startswith("hub-")
    ):
        return "ours", ""
    if hub.is_dir() and not hub.is_symlink() and "user" in entries:
        return "tljh", ""
    # tljh writes its journal first, so without one these files are The Littlest JupyterHub's.
    if any(any((prefix / name).glob("*")) for name in ("config", "state")):
        return "tljh", "without its environments"
    # A run that was killed early leaves these; the next run continues with them.
    if entries <= {"versions", "installer.log", "config", "state"}:
        return ("unfinished" if entries else "none"), ""
    return "foreign", ", ".join(sorted(entries)[:5])


def read_foreign_commands(prefix: Path) -> dict[str, str]:
    """Return commands that have our names and are not ours, with what they are."""
    foreign = {}
    for name in ("tljh", "tljh-config"):
        path = Path("/usr/bin") / name
        if path.is_symlink():
            target = str(path.readlink())
            if not target.startswith(f"{prefix}/"):
                foreign[str(path)] = f"a link to {target}"
        elif path.exists() and f"{prefix}/" not in _text(path):
            foreign[str(path)] = "a file of another program"
    return foreign


def find_python() -> PythonInterpreter:
    """Return the system's Python if it is new enough, else the one that runs this.

    The path is resolved (python3.11, not python3): when a distribution upgrade removes that
    version, the environment is recognised as stale instead of working in part.
    """
    system = "/usr/bin/python3"
    question = (
        "import os,sys;print(os.path.realpath(sys.executable),"
        "sys.implementation.cache_tag,*sys.version_info[:3])"
    )
    try:
        answer = subprocess.run(
            [system, "-I", "-S", "-c", question], capture_output=True, text=True, timeout=30
        ).stdout.split()
        python = PythonInterpreter(answer[0], tuple(map(int, answer[2:5])), answer[1])
        if python.version >= (3, 10):
            return python
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        pass
    executable = os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
    return PythonInterpreter(executable, sys.version_info[:3], sys.implementation.cache_tag or "")


def read_free_bytes(directories: Iterable[Path]) -> dict[str, int]:
    """Return the free space of the file systems of `directories`, each only once.

    The keys are the directories; the order is theirs.
    """
    free: dict[int, tuple[str, int]] = {}
    for directory in directories:
        existing = directory
        while not existing.exists():
            existing = existing.parent
        free.setdefault(existing.stat().st_dev, (str(directory), shutil.disk_usage(existing).free))
    return dict(free.values())


def channel_url(channel: str) -> str:
    """Return a channel's URL; a name is a channel of anaconda.org, as for conda."""
    if channel.startswith("/"):
        return Path(channel).as_uri()
    return channel if "://" in channel else _CHANNEL_ALIAS + channel


def check_channel(sources: PackageIndexes, channel: str) -> tuple[str | None, float | None]:
    """Return why `channel` cannot be read, or None, and how far our clock is ahead, in seconds."""
    reason: str | None = None
    url = channel_url(channel).rstrip("/")
    if url.startswith("file://"):
        path = Path(url[len("file://") :])
        is_channel = any((path / "noarch").glob("repodata*")) if path.is_dir() else False
        return (None if is_channel else "has no noarch/repodata.json"), None
    for name in ("repodata.json.zst", "repodata_shards.msgpack.zst", "repodata.json"):
        try:
            answer = fetch(
                sources,
                f"{url}/noarch/{name}",
                method="HEAD",
                attempts=2,
                timeout_s=_CHECK_TIMEOUT_S,
            )
            return None, answer.date_offset_s
        except FetchError as error:
            reason = error.reason
            if not error.is_missing:
                break
    return reason, None


def check_network(
    pages: PackagePages, channels: Iterable[str]
) -> tuple[dict[str, str], dict[str, str], tuple[float, ...]]:
    """Ask the index and all channels in parallel.

    Return the problems of the index, those of the channels, and our clock's offsets, in seconds.
    """
    names = list(channels)
    with ThreadPoolExecutor(max_workers=8) as pool:
        index = pool.submit(pages.problems, "uv")
        answers = list(pool.map(lambda name: check_channel(pages.sources, name), names))
        index_problems = index.result()
    channel_problems = {
        without_password(name): reason
        for name, (reason, _) in zip(names, answers, strict=True)
        if reason is not None
    }
    offsets = [offset for _, offset in answers if offset is not None]
    return index_problems, channel_problems, tuple(pages.offsets_s + offsets)


def read_local(prefix: Path, ports: Iterable[int]) -> MachineFacts:
    """Return all facts except those that need the network."""
    release = parse_os_release(_text("/etc/os-release") or _text("/usr/lib/os-release"))
    previous, detail = read_previous(prefix)
    return MachineFacts(
        uid=os.geteuid(),
        os_id=release.get("ID", ""),
        os_version=release.get("VERSION_ID", ""),
        os_name=release.get("PRETTY_NAME", "") or platform.system(),
        architecture=platform.machine(),
        has_systemd=Path("/run/systemd/system").is_dir(),
        python=find_python(),
        memory_bytes=parse_memory_bytes(_text("/proc/meminfo")),
        free_bytes=read_free_bytes((prefix, Path("/var"))),
        listeners=read_listeners((*ports, *LOOPBACK_PORTS)),
        previous=previous,
        previous_detail=detail,
        takeover_problems=tuple(find_problems(prefix)) if previous == "tljh" else (),
        foreign_commands=read_foreign_commands(prefix),
    )
