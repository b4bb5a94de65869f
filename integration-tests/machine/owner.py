"""The process that made a machine, so that the next run removes orphans and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

from machine.engine import Engine, report
from machine.image import LABEL

# The label of a machine that outlives its process: only `down` removes it.
KEPT = "kept"


def started_at(pid: int) -> str | None:
    """Return a process's start time in clock ticks since boot.

    Pids are used again, but not with the same start time.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field, the command's name, may hold spaces and parentheses.
    return stat.rpartition(")")[2].split()[19]


def own_label() -> str:
    """Return the label of machines that this process makes."""
    return f"{os.getpid()}:{started_at(os.getpid())}"


def is_alive(label: str) -> bool:
    """Return whether the process in a label still runs; always for a kept machine."""
    if label == KEPT:
        return True
    pid, _, start = label.partition(":")
    return pid.isdigit() and started_at(int(pid)) == start


def machines(engine: Engine) -> dict[str, str]:
    """Return {name: label} of all machines of this harness on this computer."""
    # In a template, podman has a map of labels and docker a function.
    label = f'index .Labels "{LABEL}"' if engine.kind == "podman" else f'.Label "{LABEL}"'
    template = "{{.Names}} {{" + label + "}}"
    containers = engine.run("ps", "--all", "--filter", f"label={LABEL}", "--format", template)
    pairs = (line.split() for line in containers.stdout.splitlines() if line.strip())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def exists(engine: Engine, name: str) -> bool:
    """Return whether a container has this name, of this harness or not."""
    return engine.run("container", "inspect", name, check=False).returncode == 0


def remove_orphans(engine: Engine) -> None:
    """Remove machines whose process has ended without removing them."""
    for name, label in machines(engine).items():
        if not is_alive(label):
            report(f"removing {name}, left by a process that has ended")
            engine.run("rm", "--force", "--volumes", name, check=False, timeout_s=120)
