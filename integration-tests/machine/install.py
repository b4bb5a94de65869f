"""The real bootstrap in a machine, from a checkout, and a snapshot of what it made."""

from __future__ import annotations

import hashlib
from pathlib import Path

from machine import caches
from machine.container import CommandFailed, Machine, checkout_archive
from machine.engine import Engine, find_engine
from machine.image import CHECKOUT, ensure_image, has_image, snapshots

CHANNEL = "/srv/channel"
KEPT_SNAPSHOTS = 3
ADMIN = "admin"
# What an installation is made from; a change of a test needn't install again.
INPUTS = ("installer/", "tljh/", "setup.cfg")


def local_channel(image: str) -> Path:
    """The local conda channel for a machine of `image`: its Python is that image's own."""
    import channel

    return Path(channel.build(image=ensure_image(find_engine(), image)))


def channel_mount(directory: Path) -> list[str]:
    """Options of `boot` that show the channel in the machine."""
    return [f"--volume={directory}:{CHANNEL}:ro"]


def bootstrap_command(*arguments: str, checkout: str = "/srv/tljh") -> str:
    return f"cd {checkout} && python3 installer/bootstrap.py {' '.join(arguments)}"


def install(machine: Machine, *arguments: str, timeout_s: float = 900) -> str:
    """Copy the checkout in and run the bootstrap for `admin` with the local channel; its output."""
    machine.copy_checkout(CHECKOUT)
    command = bootstrap_command("--admin", ADMIN, f"--conda-channel=file://{CHANNEL}", *arguments)
    try:
        return machine.run(command, timeout_s=timeout_s).stdout
    except CommandFailed as failure:
        journal = machine.journal("jupyterhub") + machine.journal("traefik")
        failure.args = (f"{failure}\n{journal}",)
        raise


def inputs_digest(image: str, channel: Path) -> str:
    """Changes with anything an installation is made from."""
    found = hashlib.sha256(f"{image}\n{channel}\n".encode())
    found.update(checkout_archive(CHECKOUT, only=INPUTS))
    return found.hexdigest()[:12]


def installed_image(release: str) -> tuple[str, Path]:
    """A snapshot of a machine with the hub installed, and the channel it was made with.

    Made on first use, and again when what it is made from has changed.
    """
    engine = find_engine()
    image = ensure_image(engine, release)
    directory = local_channel(release)
    tag = f"installed-{inputs_digest(image, directory)}"
    name = f"localhost/tljh-snapshot-{tag}"
    with caches.making("installed"):
        if not has_image(engine, name):
            remove_outdated(engine)
            with Machine.boot(release, options=channel_mount(directory)) as machine:
                install(machine)
                machine.snapshot(tag)
    return name, directory


def remove_outdated(engine: Engine) -> None:
    """Remove all but the newest snapshots of installations: others may be in use right now."""
    prefix = "localhost/tljh-snapshot-installed-"
    mine = [name for name in snapshots(engine) if name.startswith(prefix)]
    for name in mine[KEPT_SNAPSHOTS:]:
        # One that a machine runs from is refused, and stays.
        engine.run("rmi", name, check=False)
