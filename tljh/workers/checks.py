"""Check of workers: whether the controller answers, and each worker does."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from tljh.base.errors import Finding, TljhError
from tljh.base.findings import Severity
from tljh.plugins.checks import Check, CheckedMachine, Result
from tljh.workers.controller import DRAINED, Worker, read_workers
from tljh.workers.facts import is_configured


def _check(subject: CheckedMachine) -> Iterator[Result]:
    config = subject.config
    if config is None or not config.workers.enabled:
        return
    if not is_configured(subject.host, subject.paths):
        return  # not applied yet; the check "configuration" reports it
    try:
        workers = read_workers(subject.host)
    except TljhError as error:
        yield from ((Severity.DEGRADED, finding) for finding in error.findings)
        return
    for worker in workers:
        problem = _examine(worker)
        if problem is not None:
            yield Severity.DEGRADED, problem


def _examine(worker: Worker) -> Finding | None:
    """Return what is wrong with a worker that no admin has drained."""
    if worker.state in ("silent", "failed"):
        return Finding(
            f"the worker {worker.name} does not answer",
            why=worker.reason or None,
            fix=f"there: sudo systemctl restart munge slurmd; if it is gone for good: "
            f"sudo tljh worker remove {quote(worker.name)}",
        )
    if worker.state.startswith("drain") and worker.reason != DRAINED:
        return Finding(
            f"Slurm takes no jobs to the worker {worker.name}",
            why=worker.reason or None,
            fix=f"correct the cause, then: sudo tljh worker resume {quote(worker.name)}",
        )
    return None


CHECKS = (Check("workers", _check),)
