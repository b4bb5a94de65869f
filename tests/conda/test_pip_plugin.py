"""Snapshots around pip: the plugin in a real environment, with a command that logs its words."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tljh.conda.pip_plugin import PipPlugin

from .conftest import Machine

# What is asked for pip, in the place of pip itself, which the tiny channel does not have.
PIP = "import sys\nprint('pip ran', sys.argv[1:], oct(__import__('os').umask(0)))\n"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root's pip makes snapshots")


@pytest.fixture
def with_plugin(machine: Machine) -> Machine:
    environment = machine.environment("python", "ferry==1.0")
    plugin = PipPlugin(machine.paths, (environment,))
    machine.apply(environment, plugin)
    assert not machine.plan(plugin)
    recorder = machine.paths.hub / "bin/tljh"
    recorder.parent.mkdir(parents=True)
    # The lock is free while a snapshot is made.
    recorder.write_text(
        f'#!/bin/sh\nflock -n {machine.paths.environment_lock} echo "$@" >> "$0.log"\n'
        "echo saved as snapshot 7\n"
    )
    recorder.chmod(0o755)
    (place,) = machine.user.glob("lib/python3.*/site-packages")
    (place / "pip").mkdir()
    (place / "pip/__main__.py").write_text(PIP)
    (machine.user / "bin/pip3").write_text(f"#!{machine.user}/bin/python\n{PIP}")
    (machine.user / "bin/pip3").chmod(0o755)
    return machine


def run(machine: Machine, *words: str) -> tuple[str, list[str]]:
    """Run words in the environment with the umask of a server; return output and records."""
    log = machine.paths.hub / "bin/tljh.log"
    log.unlink(missing_ok=True)
    done = subprocess.run(
        [machine.user / "bin" / words[0], *words[1:]],
        capture_output=True,
        text=True,
        check=True,
        umask=0o077,
    )
    return done.stdout + done.stderr, log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize(
    "start", [("pip3",), ("python", "-m", "pip"), ("python", "-I", "-m", "pip")]
)
def test_a_change_by_pip_is_recorded_before_and_after(with_plugin, start):
    output, records = run(with_plugin, *start, "install", "-i", "https://u:secret@x/", "raft")
    assert "pip ran" in output and "0o22" in output
    assert "saved as snapshot 7; the way back" in output
    assert records == ["env record", "env record pip install -i https://***@x/ raft"]


@pytest.mark.parametrize(
    "words",
    [
        ("pip3", "list"),
        ("pip3", "install", "--target=/x", "raft"),
        ("pip3", "install", "--dry-run", "raft"),
        ("python", "-c", "print('pip install')"),
    ],
)
def test_what_changes_nothing_in_the_environment_makes_no_snapshot(with_plugin, words):
    output, records = run(with_plugin, *words)
    assert "pip" in output
    assert records == []


def test_pip_works_where_no_snapshot_can_be_made(with_plugin):
    (with_plugin.paths.hub / "bin/tljh").unlink()
    output, _ = run(with_plugin, "pip3", "install", "raft")
    assert "pip ran" in output and "no snapshot was made" in output


def test_the_files_are_readable_by_all_and_removed_with_a_rolled_back_change(machine: Machine):
    machine.apply(machine.environment("python"))
    before = machine.contents()

    def fail() -> None:
        raise OSError("the hub does not answer")

    with pytest.raises(Exception, match="does not answer"):
        machine.apply(PipPlugin(machine.paths), health=fail)
    after = machine.contents()
    assert {Path(path).name for path in after.keys() - before.keys()} <= set()
