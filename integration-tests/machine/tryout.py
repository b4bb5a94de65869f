"""`make try`: a throwaway hub on this computer, by the real bootstrap."""

from __future__ import annotations

import re
import socket
import subprocess
import urllib.request

from machine import owner
from machine.container import Machine
from machine.engine import CannotBoot, find_engine, report
from machine.image import CHECKOUT
from machine.install import CHANNEL, bootstrap_command, channel_mount, local_channel

NAME = "tljh-try"
RUN = "python3 integration-tests/machine"
CONDA_FORGE = "https://conda.anaconda.org/conda-forge/noarch/repodata.json.zst"


def free_port(first: int = 8000) -> int:
    """Return the first free port on loopback from `first` on."""
    for port in (*range(first, first + 50), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CannotBoot("no port on loopback is free")


def conda_forge_answers(timeout_s: float = 10) -> bool:
    """Return whether conda-forge serves its index.

    Some proxies answer every URL with 200, so the first bytes are checked.
    """
    try:
        with urllib.request.urlopen(CONDA_FORGE, timeout=timeout_s) as response:
            return bytes(response.read(4)) == b"\x28\xb5\x2f\xfd"  # zstd
    except OSError:
        return False


def try_it(image: str, admin: str) -> int:
    """Boot a machine, install the hub in it, and print how to log in."""
    engine = find_engine()
    if NAME in owner.machines(engine):
        report("removing the machine of an earlier `make try`")
        remove()
    arguments = ["--admin", admin]
    options: list[str] = []
    if not conda_forge_answers():
        report("conda-forge can't be reached: building the small local channel that the tests use")
        options = channel_mount(local_channel(image))
        arguments.append(f"--conda-channel=file://{CHANNEL}")
    port = free_port()
    machine = Machine.boot(image, NAME, {port: 80}, keep=True, options=options)
    report(f"booted in {machine.boot_seconds:.1f} s; installing with the real bootstrap")
    try:
        machine.copy_checkout(CHECKOUT)
        code = run_bootstrap(machine, arguments, port)
    except BaseException:
        machine.remove()
        raise
    if code != 0:
        report(f"the bootstrap ended with {code}; open a shell there: {RUN} shell {NAME}")
        return 1
    print(
        f"  inside   sudo {RUN} shell {NAME}  (for the commands above)\n"
        "  remove   sudo make try-down"
    )
    return 0


def run_bootstrap(machine: Machine, arguments: list[str], port: int) -> int:
    """Run the bootstrap, print its output with addresses of this computer; return its exit code."""
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
    """Replace the machine's own address by the one at which this computer reaches it."""
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
