"""`tljh worker list`, `join-script`, `drain`, `resume`, `remove`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.base.sizes import format_size
from tljh.commands.columns import format_columns
from tljh.commands.parameters import Argument, Summary
from tljh.host.real import RealHost
from tljh.operations import workers as operations
from tljh.workers.controller import Worker

WorkerArgument = Annotated[str, Argument("NAME", "A worker, as tljh worker list names it.")]
HEADINGS = ("NAME", "CPUS", "MEMORY", "JOBS", "ADDRESS", "STATE")


@dataclass(frozen=True)
class WorkerTable:
    """Workers, one a line, with the reason below why one takes no jobs."""

    workers: tuple[Worker, ...]

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(each) for each in self.workers]

    def as_text(self) -> str:
        if not self.workers:
            return "no worker has joined; how one does: docs/guides/workers.md"
        rows = [
            (
                each.name,
                str(each.cpus),
                format_size(each.memory_bytes),
                str(each.jobs),
                each.address,
                each.state,
            )
            for each in self.workers
        ]
        head, *lines = format_columns([HEADINGS, *rows])
        for place, worker in reversed(list(enumerate(self.workers, 1))):
            if worker.reason:
                lines.insert(place, f"    {worker.state}: {worker.reason}")
        return "\n".join([head, *lines])


@dataclass(frozen=True)
class JoinScript:
    """A shell script with the workers' key in it."""

    script: str

    def as_text(self) -> str:
        return self.script.rstrip("\n")

    def as_json(self) -> dict[str, Any]:
        return {"script": self.script}


def print_join_script() -> JoinScript:
    """Print the script by which a machine joins; it holds the workers' key."""
    return JoinScript(operations.make_join_script(RealHost(), get_paths()))


def list_workers() -> WorkerTable:
    """List the workers: processors, memory, jobs, and whether they answer."""
    return WorkerTable(tuple(operations.list_workers(RealHost(), get_paths())))


def drain(name: WorkerArgument) -> Summary:
    """Take no more jobs to a worker; those that run stay."""
    worker = operations.drain_worker(RealHost(), get_paths(), name)
    running = f", {format_count(worker.jobs, 'job')} still there" if worker.jobs else ""
    return Summary((f"{name} takes no more jobs{running}",), asdict(worker))


def resume(name: WorkerArgument) -> Summary:
    """Take jobs to a worker again."""
    worker = operations.resume_worker(RealHost(), get_paths(), name)
    return Summary((f"{name} takes jobs",), asdict(worker))


def remove(name: WorkerArgument) -> Summary:
    """Forget a worker that has no jobs."""
    worker = operations.remove_worker(RealHost(), get_paths(), name)
    return Summary(
        (f"{name} is removed; it joins again when slurmd starts there",),
        asdict(worker),
        ("on that machine: sudo systemctl disable --now slurmd",),
    )
