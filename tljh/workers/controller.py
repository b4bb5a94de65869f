"""Questions to Slurm's controller: whether it answers, and which workers it knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tljh.base.errors import TljhError
from tljh.host.interface import HostReader

CONTROLLER_UNIT = "slurmctld.service"
MUNGE_UNIT = "munge.service"

# Slurm's programs wait longer than this for a controller that is away.
ANSWER_TIMEOUT_S = 5
# The reason comes last, because it may have the separator in it.
_NODES = ("sinfo", "--noheader", "--Node", "--format=%N|%T|%o|%c|%m|%v|%E")
_JOBS = ("squeue", "--noheader", "--format=%N")
_MIB = 1 << 20

# Slurm's words, without the flags behind them, that mean that the worker takes jobs.
_READY = ("idle", "mixed", "allocated", "completing")
# Slurm adds it to the state of a worker that does not answer.
_SILENT = "*"
_NO_REASON = "none"
# The reason of a worker that an admin drained.
DRAINED = "drained by tljh worker drain"


@dataclass(frozen=True)
class Worker:
    """A machine that the controller knows; `state` is ready, draining, drained, silent, failed, or
    a word of Slurm.

    `reason` says why it takes no jobs; empty where Slurm gives none.
    """

    name: str
    state: str
    address: str
    cpus: int
    memory_bytes: int
    slurm: str
    reason: str = ""
    jobs: int = 0


def ask_controller(host: HostReader) -> str | None:
    """Return why the controller does not answer; None if it does."""
    if not host.unit(CONTROLLER_UNIT).is_active:
        return f"{CONTROLLER_UNIT} does not run"
    try:
        answer = host.query(["scontrol", "ping"], timeout_s=ANSWER_TIMEOUT_S)
    except TljhError as error:
        return error.findings[0].what
    return None if answer.ok else (answer.err or answer.out).strip()


def read_workers(host: HostReader) -> list[Worker]:
    """Return the workers, by name. Raises TljhError if the controller does not answer."""
    problem = ask_controller(host)
    if problem is not None:
        raise TljhError(
            "Slurm's controller does not answer",
            why=problem,
            fix=f"sudo systemctl restart {CONTROLLER_UNIT}; its log: sudo journalctl -u "
            f"{CONTROLLER_UNIT} -e",
        )
    jobs = Counter(_ask(host, _JOBS).split())
    return parse_workers(_ask(host, _NODES), jobs)


def _ask(host: HostReader, argv: Sequence[str]) -> str:
    answer = host.query(argv, timeout_s=ANSWER_TIMEOUT_S)
    if not answer.ok:
        raise TljhError(f"{argv[0]} failed", why=answer.err.strip())
    return answer.out


def parse_workers(text: str, jobs: Counter[str]) -> list[Worker]:
    """Return the workers in the output of sinfo; `jobs` counts those of each by its name."""
    workers = []
    for line in text.splitlines():
        name, state, address, cpus, memory, slurm, reason = line.split("|", 6)
        workers.append(
            Worker(
                name,
                _translate(state),
                address,
                int(cpus),
                int(memory) * _MIB,
                slurm,
                "" if reason == _NO_REASON else reason,
                jobs[name],
            )
        )
    return sorted(workers, key=lambda worker: worker.name)


def _translate(state: str) -> str:
    word = state.rstrip("*~#!%$@^-+")
    if word.startswith("drain"):
        return word
    if _SILENT in state:
        return "silent"
    if word == "down":
        return "failed"
    return "ready" if word in _READY else word
