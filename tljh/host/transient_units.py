"""Transient units of systemd, started and watched without holding up the hub's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tljh.host.interface import Result
from tljh.host.systemctl_output import properties_of_one

_SHOWN = "ActiveState,Result,ExecMainCode,ExecMainStatus,MainPID"


@dataclass(frozen=True)
class UnitState:
    """How a unit is and, once it is over, how it ended; `result` is systemd's word for that."""

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
    """A command to be run as a unit, with systemd's properties; a list gives one several times."""

    name: str
    argv: Sequence[str]
    properties: Mapping[str, str | Sequence[str]]
    working_directory: str
    slice: str | None = None
    uid: int | None = None
    gid: int | None = None

    def command(self) -> list[str]:
        """The command line of systemd-run."""
        argv = ["systemd-run", "--quiet", "--unit", self.name]
        argv += ["--working-directory", self.working_directory]
        for option, value in (("uid", self.uid), ("gid", self.gid), ("slice", self.slice)):
            if value is not None:
                argv.append(f"--{option}={value}")
        for name, given in self.properties.items():
            values = [given] if isinstance(given, str) else given
            argv += [f"--property={name}={value}" for value in values]
        return [*argv, "--", *self.argv]


async def run(argv: Sequence[str]) -> Result:
    """Run a short command beside the event loop."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Result(
        process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace")
    )


async def start(unit: TransientUnit) -> Result:
    """Have systemd start a unit; it has been when this returns, well or badly."""
    begun = asyncio.ensure_future(run(unit.command()))
    try:
        return await asyncio.shield(begun)
    except asyncio.CancelledError:
        # Else the unit comes up behind the back of whoever stops it now.
        await begun
        raise


async def clear(name: str) -> None:
    """Make the name free: stop a unit that has it, and forget one that failed."""
    found = await state(name)
    if found.runs or found.active == "deactivating":
        await run(["systemctl", "stop", name])
    if found.active != "inactive":
        await run(["systemctl", "reset-failed", name])


async def state(name: str) -> UnitState:
    """How a unit is now; one that systemd does not know is inactive."""
    return parse_state((await run(["systemctl", "show", "-p", _SHOWN, name])).out)


def parse_state(text: str) -> UnitState:
    shown = properties_of_one(text)
    return UnitState(
        shown.get("ActiveState", "inactive"),
        shown.get("Result", ""),
        int(shown.get("ExecMainStatus") or 0),
        # CLD_EXITED is 1, CLD_KILLED 2, CLD_DUMPED 3.
        shown.get("ExecMainCode") in ("2", "3"),
        int(shown.get("MainPID") or 0),
    )


async def last_lines(name: str, count: int, since_s: float) -> str:
    """The end of a unit's journal since a time of the clock."""
    # What a process said last may still be on its way when it has ended.
    await run(["journalctl", "--sync"])
    argv = ["journalctl", "-q", "--no-pager", "-o", "cat", "-n", str(count)]
    return (await run([*argv, "-u", name, "--since", f"@{int(since_s)}"])).out.strip()


@contextmanager
def noticing_end_of(pid: int, tell: Callable[[], None]) -> Iterator[bool]:
    """Call `tell` the moment a process ends; false where the kernel can't say (before 5.3)."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        tell()
        yield True
        return
    except OSError:
        yield False
        return
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(descriptor)
        tell()

    loop.add_reader(descriptor, ended)
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            loop.remove_reader(descriptor)
        os.close(descriptor)
