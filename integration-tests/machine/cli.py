"""The harness's command line: up, shell, exec, list, snapshot, down, try, try-down."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from types import FrameType

from machine import image, owner, tryout
from machine.container import Machine
from machine.engine import CannotBoot, find_engine

DEFAULT_NAME = "tljh-machine"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="machine", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)

    up = commands.add_parser("up", help="boot a machine that stays until `down`")
    up.add_argument("name", nargs="?", default=DEFAULT_NAME)
    up.add_argument(
        "--image",
        default=image.DEFAULT_RELEASE,
        help=f"{', '.join(image.RELEASES)}, an image in a registry, or a snapshot",
    )
    up.add_argument(
        "--port", action="append", default=[], metavar="OUTSIDE:INSIDE", help="publish on loopback"
    )
    up.add_argument("--no-caches", action="store_true", help="start with empty package caches")
    up.add_argument("--memory", help="limit the machine's memory, for example 1g")
    up.add_argument("--checkout", action="store_true", help="copy this checkout to /srv/tljh")

    for name, help_ in (("shell", "open a shell in a machine"), ("restart", "reboot a machine")):
        commands.add_parser(name, help=help_).add_argument("name", nargs="?", default=DEFAULT_NAME)

    run = commands.add_parser("exec", help="run a command in a machine")
    run.add_argument("name")
    run.add_argument("argv", nargs=argparse.REMAINDER)

    commands.add_parser("list", help="list machines and snapshots of this harness")

    snapshot = commands.add_parser("snapshot", help="commit a machine's disk as an image")
    snapshot.add_argument("name")
    snapshot.add_argument("tag")

    down = commands.add_parser("down", help="remove machines of this harness")
    down.add_argument("name", nargs="*", default=[DEFAULT_NAME])
    down.add_argument("--all", action="store_true", help="all machines of this harness")
    down.add_argument("--snapshots", action="store_true", help="and all snapshots")

    attempt = commands.add_parser(
        "try", help="boot a machine and install the hub in it with the real bootstrap"
    )
    attempt.add_argument("--image", default=image.DEFAULT_RELEASE)
    attempt.add_argument("--admin", default="admin")
    commands.add_parser("try-down", help="remove the machine of `try`")
    return top


def terminate(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit code."""
    options = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, terminate)
    try:
        return run_command(options)
    except CannotBoot as reason:
        print(f"error: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the machine is removed", file=sys.stderr)
        return 130


def run_command(options: argparse.Namespace) -> int:
    match options.command:
        case "up":
            return up(options)
        case "shell":
            return Machine.attach(options.name).shell()
        case "restart":
            Machine.attach(options.name).restart()
        case "exec":
            argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
            command = argv[0] if len(argv) == 1 else shlex.join(argv)
            return Machine.attach(options.name).stream(command)
        case "list":
            print_list()
        case "snapshot":
            print(Machine.attach(options.name).snapshot(options.tag))
        case "down":
            down(options)
        case "try":
            return tryout.try_it(options.image, options.admin)
        case "try-down":
            tryout.remove()
    return 0


def up(options: argparse.Namespace) -> int:
    ports = {}
    for pair in options.port:
        outside, _, inside = pair.partition(":")
        ports[int(outside)] = int(inside or outside)
    machine = Machine.boot(
        options.image,
        options.name,
        ports,
        keep=True,
        with_caches=not options.no_caches,
        memory=options.memory,
    )
    if options.checkout:
        machine.copy_checkout(image.CHECKOUT)
    print(f"{machine.name} is up after {machine.boot_seconds:.1f} s at {machine.address()}")
    if machine.degraded:
        print(f"degraded: {', '.join(machine.degraded)} failed")
    return 0


def print_list() -> None:
    engine = find_engine()
    for name, label in owner.machines(engine).items():
        state = "kept" if label == owner.KEPT else f"of process {label.partition(':')[0]}"
        print(f"machine   {name}  {state}")
    for name in image.snapshots(engine):
        print(f"snapshot  {name}")


def down(options: argparse.Namespace) -> None:
    engine = find_engine()
    machines = owner.machines(engine)
    names = list(machines) if options.all else options.name
    for name in names:
        if name not in machines:
            print(f"no machine is called {name}")
            continue
        engine.run("rm", "--force", "--volumes", name, timeout_s=120)
        print(f"{name} is removed")
    if options.snapshots:
        for name in image.snapshots(engine):
            engine.run("rmi", "--force", name)
            print(f"{name} is removed")
