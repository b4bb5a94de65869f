"""The checks behind `tljh status` and `tljh doctor`: a registry that every part adds to.

A check reads the machine and yields what is wrong, each with a fix. `status` runs the quick
ones, `doctor` all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tljh.base.errors import Finding, Place, TljhError
from tljh.base.findings import Severity
from tljh.base.paths import Paths
from tljh.host.interface import HostReader
from tljh.operations.facts import Facts
from tljh.operations.installed_config import load_configuration, standing_configuration

if TYPE_CHECKING:
    from tljh.settings.root import Config

UNITS = ("traefik.service", "jupyterhub.service")


# A unit that systemd restarted this often since it was started is not well.
MANY_RESTARTS = 3


LOW_DISK_BYTES = 1 << 30


@dataclass(frozen=True)
class Reported:
    """A finding of a check."""

    check: str
    severity: Severity
    finding: Finding


@dataclass(frozen=True)
class Subject:
    """What is looked at. `config` and `facts` are None where the configuration is invalid."""

    host: HostReader
    paths: Paths
    config: Config | None
    facts: Facts | None
    invalid: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Check:
    """One named look at the machine; `is_quick` ones belong to `status`."""

    name: str
    look: Callable[[Subject], Iterator[tuple[Severity, Finding]]]
    is_quick: bool = True


_REGISTRY: list[Check] = []


def check(name: str, *, is_quick: bool = True) -> Callable[[Look], Look]:
    """Register a function as a check of that name."""

    def register(look: Look) -> Look:
        _REGISTRY.append(Check(name, look, is_quick))
        return look

    return register


Look = Callable[[Subject], Iterator[tuple[Severity, Finding]]]


def registered() -> tuple[Check, ...]:
    return tuple(_REGISTRY)


def run_checks(subject: Subject, *, quick_only: bool) -> list[Reported]:
    """Run the checks; one that fails itself is a finding, and the others still run."""
    reported = []
    for item in _REGISTRY:
        if quick_only and not item.is_quick:
            continue
        try:
            reported += [
                Reported(item.name, severity, finding) for severity, finding in item.look(subject)
            ]
        except (TljhError, OSError) as error:
            finding = Finding(f"the check {item.name} could not be made", why=str(error))
            reported.append(Reported(item.name, Severity.DEGRADED, finding))
    return reported


def worst(reported: list[Reported]) -> Severity:
    """Broken before degraded before fine."""
    for severity in (Severity.BROKEN, Severity.DEGRADED):
        if any(item.severity is severity for item in reported):
            return severity
    return Severity.FINE


def subject_of(host: HostReader, paths: Paths) -> Subject:
    """Read configuration and facts; an invalid configuration is part of what is reported."""
    from tljh.operations.facts import read_facts

    try:
        config = load_configuration(host, paths, standing_configuration(host, paths))
    except TljhError as error:
        return Subject(host, paths, None, None, error.findings)
    return Subject(host, paths, config, read_facts(host, config, paths))


@check("installed")
def _installed(subject: Subject) -> Iterator[tuple[Severity, Finding]]:
    link = subject.host.readlink(subject.paths.hub)
    if link is None:
        yield (
            Severity.BROKEN,
            Finding(
                f"there is no hub at {subject.paths.prefix}",
                fix="install one: sudo python3 bootstrap.py --admin NAME",
            ),
        )
    elif subject.host.info(subject.paths.prefix / link / "bin" / "python") is None:
        yield (
            Severity.BROKEN,
            Finding(
                "the hub environment is not usable: its Python is gone",
                where=Place(str(subject.paths.hub)),
                why="a distribution upgrade replaces the system's Python",
                fix="rebuild it: run bootstrap.py again",
            ),
        )


@check("configuration")
def _configuration(subject: Subject) -> Iterator[tuple[Severity, Finding]]:
    for finding in subject.invalid:
        yield Severity.DEGRADED, finding


@check("units")
def _units(subject: Subject) -> Iterator[tuple[Severity, Finding]]:
    if subject.host.readlink(subject.paths.hub) is None:
        return
    for name in UNITS:
        unit = subject.host.unit(name)
        if not unit.is_active:
            yield (
                Severity.BROKEN,
                Finding(
                    f"{name} is {unit.active}",
                    why=subject.host.journal(name, 10) or None,
                    fix=f"sudo systemctl restart {name}",
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


@check("unfinished")
def _unfinished(subject: Subject) -> Iterator[tuple[Severity, Finding]]:
    if subject.host.info(subject.paths.journal_dir / "pending") is not None:
        yield (
            Severity.DEGRADED,
            Finding(
                "an earlier change was cut off half-way",
                where=Place(str(subject.paths.journal_dir / "pending")),
                fix="any change takes it back first; for example: sudo tljh-config reload",
            ),
        )


@check("administrators")
def _administrators(subject: Subject) -> Iterator[tuple[Severity, Finding]]:
    config, facts = subject.config, subject.facts
    if config is None or facts is None or config.users.admin:
        return
    traits = [*config.auth.classes.values(), *config.traitlets.values()]
    named = any(name.startswith("admin_") for section in traits for name in section)
    # What a drop-in or a plugin does cannot be told from here.
    if not named and not any(b"admin" in data for data in facts.hub_drop_ins.values()):
        yield (
            Severity.FINE,
            Finding(
                "nobody administers the hub",
                why="users.admin is empty; who has sudo on this machine can still do everything",
                fix="sudo tljh user add NAME --admin",
            ),
        )


@check("disk limits")
def _disk_limits(subject: Subject) -> Iterator[tuple[Severity, Finding]]:
    from tljh.singleuser.disk_limits import quota_findings
    from tljh.singleuser.limits import limits_in

    if subject.config and subject.facts:
        limits = limits_in(subject.config, subject.facts.size)
        for finding in quota_findings(subject.host, subject.config, limits):
            yield Severity.DEGRADED, finding


@check("dummy authenticator")
def _dummy(subject: Subject) -> Iterator[tuple[Severity, Finding]]:
    if subject.config and subject.config.auth.type.rpartition(".")[2].lower() in (
        "dummy",
        "dummyauthenticator",
    ):
        yield (
            Severity.DEGRADED,
            Finding(
                "auth.type is dummy, which lets anyone in under any name",
                fix="choose another: tljh-config describe auth.type",
            ),
        )


@check("isolation")
def _isolation(subject: Subject) -> Iterator[tuple[Severity, Finding]]:
    from tljh.singleuser.checks import isolation_findings

    if subject.config and subject.host.readlink(subject.paths.hub):
        for finding in isolation_findings(subject.host, subject.config):
            yield Severity.DEGRADED, finding


@check("memory of servers", is_quick=False)
def _memory(subject: Subject) -> Iterator[tuple[Severity, Finding]]:
    from tljh.singleuser.memory_kills import memory_findings

    for finding in memory_findings(subject.host):
        yield Severity.DEGRADED, finding


@check("system's Python", is_quick=False)
def _python(subject: Subject) -> Iterator[tuple[Severity, Finding]]:
    """Whether a rebuild would stand on another Python: the one in use may lose its libraries."""
    from tljh.operations.hub_environment import BOOTSTRAP, built_on

    built = built_on(subject.host, subject.paths)
    # As the bootstrap looks for one: the system's own, where it is new enough.
    asked = subject.host.query([SYSTEM_PYTHON, "-I", "-S", "-c", _PRINT_PYTHON])
    path, *version = asked.out.split() or [""]
    if built is None or path in ("", built) or tuple(map(int, version)) < OLDEST_PYTHON:
        return
    yield (
        Severity.BROKEN,
        Finding(
            "the system's Python changed under the hub environment",
            where=Place(str(subject.paths.hub)),
            why=f"it was built on {built}, {SYSTEM_PYTHON} is {path} now",
            fix=f"rebuild it: sudo python3 {subject.paths.hub / BOOTSTRAP}",
        ),
    )


SYSTEM_PYTHON = "/usr/bin/python3"


OLDEST_PYTHON = (3, 10)


_PRINT_PYTHON = "import os,sys;print(os.path.realpath(sys.executable),*sys.version_info[:2])"


@check("permissions", is_quick=False)
def _permissions(subject: Subject) -> Iterator[tuple[Severity, Finding]]:
    host, paths = subject.host, subject.paths
    for path in (paths.config_dir, paths.config_file, paths.state_dir):
        info = host.info(path)
        if info and info.kind != "symlink" and info.mode & 0o077:
            yield (
                Severity.DEGRADED,
                Finding(
                    f"{path} can be read by others than root",
                    why=f"its mode is {info.mode:04o}",
                    fix="sudo tljh-config reload brings it right",
                ),
            )


@check("disk", is_quick=False)
def _disk(subject: Subject) -> Iterator[tuple[Severity, Finding]]:
    for path in ("/", "/home", str(subject.paths.prefix)):
        shown = subject.host.query(["df", "--output=avail", "-B1", path])
        number = shown.out.split()[-1] if shown.ok and shown.out.split() else ""
        if number.isdigit() and int(number) < LOW_DISK_BYTES:
            yield (
                Severity.DEGRADED,
                Finding(
                    f"the file system of {path} is nearly full: {int(number) >> 20} MiB left",
                    fix=f"see what takes the room: sudo du -xh {path} | sort -h | tail",
                ),
            )


@check("room for the hub", is_quick=False)
def _room(subject: Subject) -> Iterator[tuple[Severity, Finding]]:
    from tljh.singleuser.checks import disk_findings

    if subject.config and subject.host.readlink(subject.paths.hub):
        for finding in disk_findings(subject.host, subject.config, subject.paths):
            yield Severity.DEGRADED, finding


@check("certificate")
def _certificate(subject: Subject) -> Iterator[tuple[Severity, Finding]]:
    from tljh.operations.certificate_checks import certificate_findings

    if subject.host.readlink(subject.paths.hub) is None:
        return
    for is_broken, finding in certificate_findings(subject.host, subject.paths):
        yield Severity.BROKEN if is_broken else Severity.DEGRADED, finding
