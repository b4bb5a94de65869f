"""The convention of parts: which modules a folder needs to be planned, applied and checked."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest

from tests.operations.test_converge import PATHS, install, machine
from tljh.base.progress import SilentProgress
from tljh.engine.plan import plan
from tljh.operations import parts
from tljh.operations.checks import examine_machine, run_checks
from tljh.operations.converge import Request, converge
from tljh.operations.parts import PARTS, import_part

FACTS = """
from dataclasses import dataclass
from pathlib import Path
from tljh.engine.facts import AdminsDirectory

NOTES = AdminsDirectory("notes", lambda paths: paths.config_dir / "notes", (".txt",))
ADMINS_DIRECTORIES = (NOTES,)

@dataclass(frozen=True)
class ClockFacts:
    zone: str

def read(host, config, paths):
    return ClockFacts((host.read(Path("/etc/timezone")) or b"UTC").decode())
"""
RESOURCES = """
from pathlib import Path
from tljh.engine.file_resources import File
from clock.facts import NOTES, ClockFacts

def resources(config, facts, paths, plugins):
    text = facts.of(ClockFacts).zone + str(sorted(facts.files_in(NOTES)))
    return [File(Path("/etc/clock"), text.encode())]
"""
CHECKS = """
from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.plugins.checks import Check

def slow(subject):
    yield Severity.DEGRADED, Finding("the clock is slow")

CHECKS = (Check("clock", slow),)
"""


@pytest.fixture
def clock(tmp_path: Path, monkeypatch):
    """Add a part: one folder, and its line in the list."""
    package = tmp_path / "clock"
    package.mkdir()
    files = {"__init__.py": "", "facts.py": FACTS, "resources.py": RESOURCES, "checks.py": CHECKS}
    for name, text in files.items():
        (package / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_: [])
    import clock

    listed = (*PARTS, import_part(clock))
    for module in ("facts", "desired", "checks"):
        monkeypatch.setattr(f"tljh.operations.{module}.PARTS", listed)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "clock"]:
        del sys.modules[name]


def test_a_new_part_is_planned_applied_checked_and_kept_in_the_history(clock):
    host = machine()
    install(host)
    assert host.read(Path("/etc/clock")) == b"UTC[]"
    host.mkdir(PATHS.config_dir / "notes", mode=0o700)
    host.write(PATHS.config_dir / "notes" / "why.txt", b"because", mode=0o600)
    outcome = converge(host, PATHS, Request("reload"), SilentProgress())
    assert host.read(Path("/etc/clock")) == b"UTC['why.txt']"
    assert "notes/why.txt" in outcome.previous_files
    assert not plan(outcome.resources, host)
    reported = run_checks(examine_machine(host, PATHS), quick_only=True)
    assert "the clock is slow" in [item.finding.what for item in reported]


def test_every_part_keeps_to_the_convention():
    arguments = {
        "read": ["host", "config", "paths"],
        "resources": ["config", "facts", "paths", "plugins"],
    }
    for each in PARTS:
        for module, name in (("facts", "read"), ("resources", "resources")):
            function = getattr(each.modules.get(module), name, None)
            if function is not None:
                assert list(inspect.signature(function).parameters) == arguments[name], each.name
        assert each.modules, f"{each.name} has none of {parts.MODULES}"


def test_what_composes_the_parts_names_no_feature():
    names = {each.name for each in PARTS}
    for module in ("facts", "desired", "converge", "checks"):
        source = inspect.getsource(sys.modules[f"tljh.operations.{module}"])
        named = {name for name in names if f"tljh.{name}" in source}
        assert named == set(), f"operations/{module}.py imports a part"
