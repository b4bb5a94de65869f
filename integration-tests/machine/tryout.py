"""`make try`: a throwaway hub on this computer, by the real bootstrap."""

from __future__ import annotations

import re
import socket
import subprocess
import urllib.request

from machine import owner
from machine.container import Machine
from machine.engine import CannotBoot, find_engine, say
from machine.image import CHECKOUT
from machine.install import CHANNEL, bootstrap_command, channel_mount, local_channel

NAME = "tljh-try"
RUN = "python3 integration-tests/machine"
CONDA_FORGE = "https://conda.anaconda.org/conda-forge/noarch/repodata.json.zst"


def free_port(wanted: int = 8000) -> int:
    """`wanted` on loopback, or the next one that is free."""
    for port in (*range(wanted, wanted + 50), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CannotBoot("no port on loopback is free")


def conda_forge_answers(timeout_s: float = 10) -> bool:
    """Whether conda-forge really serves its index: some proxies answer everything with 200."""
    try:
        with urllib.request.urlopen(CONDA_FORGE, timeout=timeout_s) as answer:
            return bytes(answer.read(4)) == b"\x28\xb5\x2f\xfd"  # zstd
    except OSError:
        return False


def try_it(image: str, admin: str) -> int:
    """Boot a machine, install the hub in it, and say how to get in."""
    engine = find_engine()
    if NAME in owner.machines(engine):
        say("removing the machine of an earlier `make try`")
        remove()
    arguments = ["--admin", admin]
    options: list[str] = []
    if not conda_forge_answers():
        say("conda-forge can't be reached: building the small local channel that the tests use")
        options = channel_mount(local_channel(image))
        arguments.append(f"--conda-channel=file://{CHANNEL}")
    port = free_port()
    machine = Machine.boot(image, NAME, {port: 80}, keep=True, options=options)
    say(f"booted in {machine.boot_seconds:.1f} s; installing with the real bootstrap")
    try:
        machine.copy_checkout(CHECKOUT)
        code = run_bootstrap(machine, arguments, port)
    except BaseException:
        machine.remove()
        raise
    if code != 0:
        say(f"the bootstrap ended with {code}; look around with `{RUN} shell {NAME}`")
        return 1
    print(
        f"  inside   sudo {RUN} shell {NAME}  (where the lines above go)\n"
        "  remove   sudo make try-down"
    )
    return 0


def run_bootstrap(machine: Machine, arguments: list[str], port: int) -> int:
    """Show what it says as it comes, with addresses that work on this computer; its exit code."""
    address = machine.address()
    with machine.popen(
        bootstrap_command(*arguments),
        env={"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout:
            print(from_here(line, address, port), end="", flush=True)
    return int(process.returncode)


def from_here(line: str, address: str, port: int) -> str:
    """A line of the bootstrap with the machine's own address as this computer sees it."""
    return re.sub(
        rf"http://{re.escape(address)}(?::\d+)?(?=[/\s]|$)", f"http://127.0.0.1:{port}", line
    )


def remove() -> None:
    """Remove the machine of `make try`."""
    engine = find_engine()
    if NAME not in owner.machines(engine):
        print("there is no machine of `make try`")
        return
    engine.run("rm", "--force", "--volumes", NAME, timeout_s=120)
    print(f"{NAME} is removed")
