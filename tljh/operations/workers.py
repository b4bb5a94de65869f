"""The workers of this machine's controller: listed, drained, resumed, removed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from shlex import quote

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import format_count
from tljh.host.accounts import USERS_GROUP
from tljh.host.interface import Host, HostReader
from tljh.host.secret_files import read_token
from tljh.operations.checks import examine_machine
from tljh.workers.controller import ANSWER_TIMEOUT_S, DRAINED, Worker, read_workers
from tljh.workers.facts import is_configured, read_host_name
from tljh.workers.join_script import ControllerAccess, format_join_script


def list_workers(host: HostReader, paths: Paths) -> list[Worker]:
    """Return the workers. Raises TljhError while workers are off, or without an answer."""
    if not is_configured(host, paths):
        raise TljhError(
            "workers are off: Slurm's controller does not run on this machine",
            fix="sudo tljh-config set workers.address ADDRESS && "
            "sudo tljh-config set workers.enabled true && sudo tljh-config reload",
        )
    return read_workers(host)


def make_join_script(host: HostReader, paths: Paths) -> str:
    """Return the script by which a machine joins. Raises TljhError while workers are off."""
    list_workers(host, paths)  # so that a machine that runs it finds a controller
    config = examine_machine(host, paths).config
    version = re.search(r"(\d+\.\d+)", host.query(["sinfo", "--version"]).out)
    key = read_token(host, paths.workers_key)
    if config is None or version is None or key is None:
        raise TljhError("the controller is not complete", fix="sudo tljh-config reload")
    group = host.group(USERS_GROUP)
    accounts = [host.user(name) for name in (group.members if group else ())]
    access = ControllerAccess(
        read_host_name(host),
        config.workers.address,
        version[1],
        key,
        [(account.name, account.uid) for account in accounts if account],
    )
    return format_join_script(access)


def drain_worker(host: Host, paths: Paths, name: str) -> Worker:
    """Take no more jobs to a worker; those that run stay. Return the worker from before."""
    worker = _find_worker(host, paths, name)
    if not worker.state.startswith("drain"):
        _change(host, ["update", f"NodeName={name}", "State=DRAIN", f"Reason={DRAINED}"])
    return worker


def resume_worker(host: Host, paths: Paths, name: str) -> Worker:
    """Take jobs to a worker again that was drained, or failed. Return it from before."""
    worker = _find_worker(host, paths, name)
    if worker.state == "silent":
        raise TljhError(
            f"the worker {name} does not answer",
            why=worker.reason or None,
            fix="there: sudo systemctl restart munge slurmd",
        )
    if worker.state != "ready":
        _change(host, ["update", f"NodeName={name}", "State=RESUME"])
    return worker


def remove_worker(host: Host, paths: Paths, name: str) -> Worker:
    """Forget a worker. Raises TljhError while jobs run there."""
    worker = _find_worker(host, paths, name)
    if worker.jobs:
        raise TljhError(
            f"the worker {name} has {format_count(worker.jobs, 'job')}",
            fix=f"sudo tljh worker drain {quote(name)}, wait until they end, then again: "
            f"sudo tljh worker remove {quote(name)}",
        )
    _change(host, ["delete", f"NodeName={name}"])
    return worker


def _find_worker(host: HostReader, paths: Paths, name: str) -> Worker:
    workers = list_workers(host, paths)
    for worker in workers:
        if worker.name == name:
            return worker
    names = ", ".join(worker.name for worker in workers)
    raise TljhError(
        f"no worker is called {name!r}", why=f"there are: {names}" if names else "there are none"
    )


def _change(host: Host, arguments: Sequence[str]) -> None:
    done = host.run(["scontrol", *arguments], timeout_s=ANSWER_TIMEOUT_S)
    if not done.ok:
        raise TljhError(f"Slurm refuses it: scontrol {arguments[0]}", why=done.err.strip())
