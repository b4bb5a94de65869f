"""Run the checks of `tljh status` and `tljh doctor`, and declare those of the installation itself.

`status` runs the quick checks, `doctor` all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from shlex import quote

from tljh.base.errors import Finding, Place, TljhError
from tljh.base.findings import Severity
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.base.paths import Paths
from tljh.base.well_known import HUB_UNIT, PROXY_UNIT
from tljh.engine.journal import Journal
from tljh.host.full_disk import FIX as FREE_DISK
from tljh.host.full_disk import FULL_BYTES, describe_full_disk, find_full_disks, find_full_line
from tljh.host.interface import HostReader
from tljh.operations.examined_config import load_for_change
from tljh.operations.facts import collect_files, read_facts, replace_files
from tljh.operations.hub_environment import find_hub_python
from tljh.operations.installed_config import (
    find_hub_environment,
    load_configuration,
    read_current_configuration,
)
from tljh.operations.parts import PARTS
from tljh.operations.plugin_events import check_by_plugins
from tljh.operations.plugin_packages import find_left_out_packages
from tljh.plugins import plugin_checks
from tljh.plugins.checks import Check, CheckedMachine, Result

UNITS = (PROXY_UNIT, HUB_UNIT)

# So many automatic restarts since the last start mean that the unit fails repeatedly.
MANY_RESTARTS = 3

LOW_DISK_BYTES = 1 << 30

# The bootstrap builds on the system's own Python if that is new enough; see `_check_python`.
SYSTEM_PYTHON = "/usr/bin/python3"
OLDEST_PYTHON = (3, 10)
PRINT_PYTHON = "import os,sys;print(os.path.realpath(sys.executable),*sys.version_info[:2])"


@dataclass(frozen=True)
class ReportedFinding:
    """A finding of a check."""

    check: str
    severity: Severity
    finding: Finding


def list_checks() -> list[Check]:
    """Return the checks of the installation itself, then those of every part."""
    return [*CHECKS, *plugin_checks.CHECKS, *(check for part in PARTS for check in part.checks)]


def run_checks(subject: CheckedMachine, *, quick_only: bool) -> list[ReportedFinding]:
    """Run the checks. One that fails with an error becomes a finding; the others still run."""
    reported = []
    for check in list_checks():
        if quick_only and not check.is_quick:
            continue
        look = check.quick_look if quick_only and check.quick_look else check.look
        try:
            reported += [
                ReportedFinding(check.name, severity, finding)
                for severity, finding in look(subject)
            ]
        except (TljhError, OSError) as error:
            finding = Finding(f"the check `{check.name}` failed", why=str(error))
            reported.append(ReportedFinding(check.name, Severity.DEGRADED, finding))
    return reported


def find_worst(reported: list[ReportedFinding]) -> Severity:
    """Return the worst severity: broken before degraded before fine."""
    for severity in (Severity.BROKEN, Severity.DEGRADED):
        if any(item.severity is severity for item in reported):
            return severity
    return Severity.FINE


def examine_machine(host: HostReader, paths: Paths) -> CheckedMachine:
    """Read the applied configuration and the facts of the machine, for all checks.

    The hub runs with what was applied, so edits since are only listed. Before the first apply the
    current files are read. An invalid configuration is no error here but part of the result.
    """
    invalid: tuple[Finding, ...] = ()
    unapplied: tuple[str, ...] = ()
    applied = Journal(paths.journal_dir).last_files(host)
    try:
        current = read_current_configuration(host, paths)
        config = load_for_change(host, paths, current)
        facts = read_facts(host, config, paths)
        if applied is None:
            return CheckedMachine(host, paths, config, facts)
        files = collect_files(facts, current)
        unapplied = tuple(
            name for name in sorted({*files, *applied}) if files.get(name) != applied.get(name)
        )
    except TljhError as error:
        invalid = error.findings
    if applied is None:
        return CheckedMachine(host, paths, None, None, invalid)
    try:
        data = applied.get("config.yaml", b"")
        config = load_configuration(host, paths, data)
        facts = replace_files(read_facts(host, config, paths, config_bytes=data), applied)
    except TljhError as error:
        return CheckedMachine(host, paths, None, None, invalid or error.findings, unapplied)
    return CheckedMachine(host, paths, config, facts, invalid, unapplied)


def _check_installed(subject: CheckedMachine) -> Iterator[Result]:
    link = subject.host.readlink(subject.paths.hub)
    if link is None:
        yield (
            Severity.BROKEN,
            Finding(
                f"there is no hub at {subject.paths.prefix}",
                fix="install one: sudo python3 bootstrap.py --admin NAME",
            ),
        )
    elif subject.host.info(HubEnvironmentFiles(subject.paths.prefix / link).python) is None:
        yield (
            Severity.BROKEN,
            Finding(
                "the hub environment is not usable: its Python is missing",
                where=Place(str(subject.paths.hub)),
                why="a distribution upgrade replaces the system's Python",
                fix="rebuild it, as tljh-rebuild.service does by itself: sudo python3 "
                + quote(str(subject.paths.hub_files.bootstrap)),
            ),
        )


def _check_configuration(subject: CheckedMachine) -> Iterator[Result]:
    for finding in subject.invalid:
        yield Severity.DEGRADED, finding
    if subject.unapplied:
        names = ", ".join(subject.unapplied)
        yield (
            Severity.FINE,
            Finding(
                f"{names} has edits that are not applied"
                if len(subject.unapplied) == 1
                else f"there are edits that are not applied: {names}",
                why="the hub runs with what was applied last, and this is what is checked",
                fix="sudo tljh-config reload",
            ),
        )


def _check_units(subject: CheckedMachine) -> Iterator[Result]:
    if not subject.is_installed:
        return
    for name in UNITS:
        unit = subject.host.unit(name)
        if not unit.is_active:
            log = subject.host.journal(name, 10)
            full = find_full_line(log)
            cause = describe_full_disk(subject.host, full, _list_disks(subject)) if full else None
            yield (
                Severity.BROKEN,
                Finding(
                    f"{name} is {unit.active}" + (f": {cause.what}" if cause else ""),
                    why=log or None,
                    fix=cause.fix if cause else f"sudo systemctl restart {name}",
                ),
            )
        elif unit.restarts >= MANY_RESTARTS:
            yield (
                Severity.DEGRADED,
                Finding(
                    f"{name} was restarted {unit.restarts} times after failing",
                    fix=f"see why: sudo journalctl -u {name} -e",
                ),
            )
        if unit.is_active and not unit.is_enabled:
            yield (
                Severity.DEGRADED,
                Finding(
                    f"{name} will not start at boot",
                    fix=f"sudo systemctl enable {name}",
                ),
            )


def _check_unfinished(subject: CheckedMachine) -> Iterator[Result]:
    pending = Journal(subject.paths.journal_dir).pending
    if subject.host.info(pending) is not None:
        yield (
            Severity.DEGRADED,
            Finding(
                "an earlier change was interrupted and is not rolled back yet",
                where=Place(str(pending)),
                fix="the next change rolls it back first; for example: sudo tljh-config reload",
            ),
        )


def _check_python(subject: CheckedMachine) -> Iterator[Result]:
    """Report a distribution upgrade that changed the Python below the hub environment.

    The environment still refers to the old Python, whose libraries the upgrade may have removed.
    """
    current = find_hub_python(subject.host, subject.paths)
    answer = subject.host.query([SYSTEM_PYTHON, "-I", "-S", "-c", PRINT_PYTHON])
    path, *version = answer.out.split() or [""]
    if current is None or path in ("", current) or tuple(map(int, version)) < OLDEST_PYTHON:
        return
    yield (
        Severity.BROKEN,
        Finding(
            "the hub environment was built on another Python than the system's current one",
            where=Place(str(subject.paths.hub)),
            why=f"it was built on {current}, {SYSTEM_PYTHON} is {path} now",
            fix=f"rebuild it: sudo python3 {quote(str(subject.paths.hub_files.bootstrap))}",
        ),
    )


def _check_permissions(subject: CheckedMachine) -> Iterator[Result]:
    host, paths = subject.host, subject.paths
    for path in (paths.config_dir, paths.config_file, paths.state_dir):
        info = host.info(path)
        if info and info.kind != "symlink" and info.mode & 0o077:
            yield (
                Severity.DEGRADED,
                Finding(
                    f"{path} can be read by other users than root",
                    why=f"its mode is {info.mode:04o}",
                    fix="a reload closes it: sudo tljh-config reload",
                ),
            )


def _list_disks(subject: CheckedMachine) -> tuple[str, ...]:
    """Return directories on the file systems that the hub and its users write to."""
    own = (subject.paths.homes, subject.paths.prefix, subject.paths.state_dir)
    return ("/", *map(str, own), "/var", "/tmp")


def _check_full_disk(subject: CheckedMachine) -> Iterator[Result]:
    for mount, lack in find_full_disks(subject.host, _list_disks(subject)).items():
        yield Severity.BROKEN, Finding(f"{lack} left on {mount}", fix=FREE_DISK)


def _check_disk(subject: CheckedMachine) -> Iterator[Result]:
    yield from _check_full_disk(subject)
    for path in ("/", str(subject.paths.homes), str(subject.paths.prefix)):
        answer = subject.host.query(["df", "--output=avail", "-B1", path])
        lines = answer.out.split()
        free = lines[-1] if answer.ok and lines else ""
        if free.isdigit() and FULL_BYTES <= int(free) < LOW_DISK_BYTES:
            yield (
                Severity.DEGRADED,
                Finding(
                    f"the file system of {path} is nearly full: {int(free) >> 20} MiB left",
                    fix="list the largest directories: "
                    f"sudo du -xh {quote(str(path))} | sort -h | tail",
                ),
            )


def _check_packages(subject: CheckedMachine) -> Iterator[Result]:
    """Report packages of config.yaml that could not be installed when the hub was rebuilt."""
    host, paths = subject.host, subject.paths
    environment = find_hub_environment(host, paths)
    data = host.read(paths.config_file) or b""
    for finding in find_left_out_packages(host, paths, environment, data):
        yield Severity.DEGRADED, finding


def _check_certificate(subject: CheckedMachine) -> Iterator[Result]:
    # Imported late: it needs a cryptography library, which takes long to import.
    from tljh.operations.certificate_checks import check_certificates

    if subject.is_installed:
        yield from check_certificates(subject.host, subject.paths)


CHECKS = (
    Check("installed", _check_installed),
    Check("configuration", _check_configuration),
    Check("units", _check_units),
    Check("unfinished", _check_unfinished),
    Check("system's Python", _check_python, is_quick=False),
    Check("permissions", _check_permissions, is_quick=False),
    Check("disk", _check_disk, quick_look=_check_full_disk),
    Check("certificate", _check_certificate),
    Check("packages", _check_packages),
    Check("checks of plugins", check_by_plugins, is_quick=False),
)
