"""Transient systemd units, started and watched without blocking the hub's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tljh.host.command_environment import build_command_environment
from tljh.host.interface import Result
from tljh.host.systemctl_output import parse_unit

_PROPERTIES = "ActiveState,Result,ExecMainCode,ExecMainStatus,MainPID"


@dataclass(frozen=True)
class UnitState:
    """The state of a unit and, after its end, why it ended; `result` is systemd's `Result`."""

    active: str = "inactive"
    result: str = ""
    exit_status: int = 0
    is_signal: bool = False
    main_pid: int = 0

    @property
    def runs(self) -> bool:
        return self.active in ("active", "activating", "reloading")


@dataclass(frozen=True)
class TransientUnit:
    """A command to run as a unit; a property with a list of values is set once for each."""

    name: str
    argv: Sequence[str]
    properties: Mapping[str, str | Sequence[str]]
    working_directory: str
    slice: str | None = None
    uid: int | None = None
    gid: int | None = None

    def command(self) -> list[str]:
        """Return the systemd-run command that starts this unit."""
        argv = ["systemd-run", "--quiet", "--unit", self.name]
        argv += ["--working-directory", self.working_directory]
        for option, value in (("uid", self.uid), ("gid", self.gid), ("slice", self.slice)):
            if value is not None:
                argv.append(f"--{option}={value}")
        for name, setting in self.properties.items():
            values = [setting] if isinstance(setting, str) else setting
            argv += [f"--property={name}={value}" for value in values]
        return [*argv, "--", *self.argv]


async def run(argv: Sequence[str]) -> Result:
    """Run a short command without blocking the event loop."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=build_command_environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Result(
        process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace")
    )


async def start(unit: TransientUnit) -> Result:
    """Start a unit and wait until systemd reports that it runs or failed.

    A caller that is cancelled waits, too: otherwise the unit could start after its stop.
    """
    start_command = asyncio.ensure_future(run(unit.command()))
    try:
        return await asyncio.shield(start_command)
    except asyncio.CancelledError:
        # The caller will stop the unit now. A start that is still under way would come after
        # that stop, so wait for it first.
        await start_command
        raise


async def clear(name: str) -> None:
    """Stop a unit and forget its failure, so that a new one can have its name."""
    current = await read_state(name)
    if current.runs or current.active == "deactivating":
        await run(["systemctl", "stop", name])
    if current.active != "inactive":
        await run(["systemctl", "reset-failed", name])


async def read_state(name: str) -> UnitState:
    """Return the state of a unit; a unit that systemd does not know is inactive."""
    return parse_state((await run(["systemctl", "show", "-p", _PROPERTIES, name])).out)


def parse_state(text: str) -> UnitState:
    properties = parse_unit(text)
    return UnitState(
        properties.get("ActiveState", "inactive"),
        properties.get("Result", ""),
        int(properties.get("ExecMainStatus") or 0),
        # CLD_EXITED is 1, CLD_KILLED 2, CLD_DUMPED 3.
        properties.get("ExecMainCode") in ("2", "3"),
        int(properties.get("MainPID") or 0),
    )


async def read_last_lines(name: str, count: int, since_s: float) -> str:
    """Return the last `count` lines of a unit's log, from the Unix time `since_s` on."""
    # journald may not have stored a process's last lines yet when the process has ended.
    await run(["journalctl", "--sync"])
    # With --since, journalctl before systemd 254 takes the first lines of the span for `-n`, not
    # the last. In reverse order they are the last with every release.
    argv = ["journalctl", "-q", "--no-pager", "-o", "cat", "--reverse", "-n", str(count)]
    newest_first = (await run([*argv, "-u", name, "--since", f"@{int(since_s)}"])).out
    return "\n".join(reversed(newest_first.strip().splitlines()))


@contextmanager
def watch_process_end(pid: int, callback: Callable[[], None]) -> Iterator[bool]:
    """Call `callback` when a process ends during the block.

    Yields false if the process cannot be watched: with kernels before 5.3, and when this process
    has no free descriptor.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        callback()
        yield True
        return
    except OSError:
        yield False
        return
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(descriptor)
        callback()

    loop.add_reader(descriptor, ended)
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            loop.remove_reader(descriptor)
        os.close(descriptor)
