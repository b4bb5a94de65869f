"""One file to attach to a question: versions, findings, configuration and logs, without secrets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import distributions, version
from pathlib import Path

from tljh.base.clock import get_utc_time
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.text_redaction import Redactor
from tljh.base.well_known import HUB_UNIT, PROXY_UNIT, SERVER_UNITS, SERVICE_UNITS
from tljh.conda.named_environments import list_environments
from tljh.engine.journal import Journal
from tljh.host.interface import Host, HostReader
from tljh.host.text_archive import pack_texts
from tljh.operations.converge import Request, work_out
from tljh.operations.status import read_status
from tljh.settings.declaration import KeyPath
from tljh.settings.redaction import is_secret, redact_code, redact_text
from tljh.settings.yaml_parse import parse

LOG_LINES = 3000
MOST_FILE_BYTES = 1 << 20

# Commands whose output tells what machine this is; none of them changes anything.
COMMANDS = {
    "machine/release": ("cat", "/etc/os-release"),
    "machine/kernel": ("uname", "-a"),
    "machine/time": ("timedatectl",),
    "machine/uptime": ("uptime",),
    "machine/memory": ("free", "-m"),
    "machine/disks": ("df", "-hT"),
    "machine/inodes": ("df", "-i"),
    "machine/mounts": ("findmnt", "--list"),
    "machine/listeners": ("ss", "-ltnp"),
    "machine/addresses": ("ip", "-brief", "address"),
    "machine/failed-units": ("systemctl", "--failed", "--no-pager"),
    "machine/timers": ("systemctl", "list-timers", "--no-pager"),
    "machine/out-of-memory": ("journalctl", "-k", "-g", "oom|Out of memory", "-n", "50"),
    "machine/packages": ("dpkg-query", "-W"),
    "hub/units": ("systemctl", "cat", HUB_UNIT, PROXY_UNIT, "jupyter.slice"),
    "hub/servers": ("systemctl", "list-units", SERVER_UNITS, "--all", "--no-pager"),
    "hub/rules": ("nft", "list", "table", "inet", "tljh"),
}
LOGS = (HUB_UNIT, PROXY_UNIT, "tljh-cert.service", "tljh-backup.service", "tljh-isolation.service")


@dataclass(frozen=True)
class SupportFile:
    """The file that was written, and the names of what is in it."""

    path: Path
    names: tuple[str, ...]


def write_support_file(
    host: Host, paths: Paths, output: Path | None, progress: Progress
) -> SupportFile:
    """Collect, redact and pack; return the file, which only root can read."""
    redactor = Redactor.of(find_secrets(host, paths))
    files: dict[str, str] = {}
    for name, read in collect(host, paths):
        with progress.step(name):
            try:
                text = read()
            except (TljhError, OSError, ValueError) as error:
                text = f"could not be read: {error}"
            files[name] = redactor.redact(text)
    stamp = f"{get_utc_time():%Y%m%d-%H%M%S}"
    path = output or Path(f"/root/tljh-support-{stamp}.tar.gz")
    host.write(path, pack_texts(files, f"tljh-support-{stamp}"), mode=0o600)
    return SupportFile(path, tuple(files))


def collect(host: Host, paths: Paths) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the name of each text, and the function that reads it."""
    yield "versions", lambda: _describe_versions(host, paths)
    yield "doctor", lambda: _describe_findings(host, paths)
    yield "plan", lambda: _describe_plan(host, paths)
    yield "history", lambda: _describe_history(host, paths)
    yield "config/config.yaml", lambda: _read_configuration(host, paths)
    for directory in (paths.hub_drop_ins, paths.traefik_drop_ins, paths.rules_dir):
        for name in host.listdir(directory):
            yield f"config/{directory.name}/{name}", _reader(host, directory / name)
    for name in ("hub.json", "limits.json"):
        yield f"config/applied/{name}", _reader(host, paths.applied.directory / name)
    for name, command in COMMANDS.items():
        yield name, partial(_run, host, command)
    services = [unit.name for unit in host.units(SERVICE_UNITS)]
    if services:
        yield "hub/services", partial(_run, host, ("systemctl", "cat", *services))
    for unit in (*LOGS, *services):
        yield f"logs/{unit}", partial(host.journal, unit, LOG_LINES)
    yield "logs/installer.log", lambda: _read(host, paths.log)
    for name in ("", *list_environments(host, paths)):
        records = paths.of_environment(name).user / "conda-meta"
        yield f"environment/{name or 'packages'}", partial(_list_names, host, records)


def _reader(host: HostReader, path: Path) -> Callable[[], str]:
    return lambda: redact_code(_read(host, path))


def _list_names(host: HostReader, directory: Path) -> str:
    return "\n".join(host.listdir(directory))


def _read(host: HostReader, path: Path) -> str:
    data = host.read(path) or b""
    return data[-MOST_FILE_BYTES:].decode(errors="replace")


def _run(host: HostReader, command: tuple[str, ...]) -> str:
    result = host.query(list(command), timeout_s=30)
    return result.out + result.err


def _describe_versions(host: HostReader, paths: Paths) -> str:
    packages = sorted(
        f"{each.metadata['Name']} {each.version}" for each in distributions() if each.metadata
    )
    link = host.readlink(paths.hub)
    return "\n".join(
        [f"release {version('tljh')}", f"prefix {paths.prefix}", f"hub {link}", *packages]
    )


def _describe_findings(host: HostReader, paths: Paths) -> str:
    status = read_status(host, paths, quick_only=False)
    lines = [f"{status.severity.name.lower()}, {status.servers} servers"]
    lines += [
        f"[{item.check}] {item.finding.as_text(item.severity.label)}" for item in status.reported
    ]
    return "\n".join(lines)


def _describe_plan(host: HostReader, paths: Paths) -> str:
    planned = work_out(host, paths, Request("support")).plan
    return json.dumps(planned.as_json(), indent=2, default=str)


def _describe_history(host: HostReader, paths: Paths) -> str:
    journal = Journal(paths.journal_dir)
    return "\n".join(
        "\n".join([f"{each.number} {each.time} {each.user} {each.command}", *each.changes])
        for each in journal.entries(host)
    )


def _read_configuration(host: HostReader, paths: Paths) -> str:
    return redact_text(parse(host.read(paths.config_file) or b""))


def find_secrets(host: HostReader, paths: Paths) -> Iterator[str]:
    """Yield the secrets that this installation knows: generated ones, and those in config.yaml."""
    for name in host.listdir(paths.state_dir):
        if name.endswith((".secret", "_secret", "-secret")):
            yield _read(host, paths.state_dir / name)
    yield _read(host, paths.backup_key)
    for name in host.listdir(paths.claims_dir):
        yield from _list_values(json.loads(_read(host, paths.claims_dir / name) or "{}"))
    files = Journal(paths.journal_dir).last_files(host) or {}
    for data in (files.get("config.yaml", b""), host.read(paths.config_file) or b""):
        root = parse(data).root
        yield from _find_secret_values(root.value() if root else None, ())


def _list_values(data: object) -> Iterator[str]:
    for value in data.values() if isinstance(data, dict) else ():
        # Names and times are no secrets.
        if isinstance(value, str) and len(value) >= 20 and ":" not in value:
            yield value


def _find_secret_values(value: object, path: KeyPath) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _find_secret_values(inner, (*path, str(name)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _find_secret_values(inner, (*path, index))
    elif is_secret(path, value):
        yield str(value)
