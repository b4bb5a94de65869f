"""Who made a machine, so that the next run removes orphans and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

from machine.engine import Engine, say
from machine.image import LABEL

# Made to outlive its process: removed by `down` only.
KEPT = "kept"


def started_at(pid: int) -> str | None:
    """A process's start time in clock ticks since boot; with its pid it is unique."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field, the command's name, may hold spaces and parentheses.
    return stat.rpartition(")")[2].split()[19]


def me() -> str:
    return f"{os.getpid()}:{started_at(os.getpid())}"


def is_alive(label: str) -> bool:
    """Whether the process that a label names still runs; a kept machine needs none."""
    if label == KEPT:
        return True
    pid, _, start = label.partition(":")
    return pid.isdigit() and started_at(int(pid)) == start


def machines(engine: Engine) -> dict[str, str]:
    """{name: owner} of all machines that this harness made on this computer."""
    # podman gives templates the map of labels, docker a function.
    label = f'index .Labels "{LABEL}"' if engine.kind == "podman" else f'.Label "{LABEL}"'
    form = "{{.Names}} {{" + label + "}}"
    listed = engine.run("ps", "--all", "--filter", f"label={LABEL}", "--format", form)
    pairs = (line.split() for line in listed.stdout.splitlines() if line.strip())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def exists(engine: Engine, name: str) -> bool:
    """Whether any container has this name, ours or not."""
    return engine.run("container", "inspect", name, check=False).returncode == 0


def remove_orphans(engine: Engine) -> None:
    """Remove machines whose process is gone: killed, crashed, or its terminal closed."""
    for name, label in machines(engine).items():
        if not is_alive(label):
            say(f"removing {name}, left behind by a process that is gone")
            engine.run("rm", "--force", "--volumes", name, check=False, timeout_s=120)
