"""The real bootstrap in a machine, from a checkout, and a snapshot of the installed machine."""

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
# The files that an installation depends on: a change of a test installs nothing again.
INPUTS = ("installer/", "tljh/", "setup.cfg")


def local_channel(image: str) -> Path:
    """Build the local conda channel for machines of `image`, with that image's Python."""
    import channel

    return Path(channel.build(image=ensure_image(find_engine(), image)))


def channel_mount(directory: Path) -> list[str]:
    """Return the options of `boot` that mount the channel in the machine."""
    return [f"--volume={directory}:{CHANNEL}:ro"]


def bootstrap_command(*arguments: str, checkout: str = "/srv/tljh") -> str:
    return f"cd {checkout} && python3 installer/bootstrap.py {' '.join(arguments)}"


def install(machine: Machine, *arguments: str, timeout_s: float = 900) -> str:
    """Copy the checkout in, run the bootstrap with the local channel, and return its output."""
    machine.copy_checkout(CHECKOUT)
    command = bootstrap_command("--admin", ADMIN, f"--conda-channel=file://{CHANNEL}", *arguments)
    try:
        return machine.run(command, timeout_s=timeout_s).stdout
    except CommandFailed as failure:
        journal = machine.journal("jupyterhub") + machine.journal("traefik")
        failure.args = (f"{failure}\n{journal}",)
        raise


def inputs_digest(image: str, channel: Path) -> str:
    """Return a digest of everything that an installation depends on."""
    digest = hashlib.sha256(f"{image}\n{channel}\n".encode())
    digest.update(checkout_archive(CHECKOUT, only=INPUTS))
    return digest.hexdigest()[:12]


def installed_image(release: str) -> tuple[str, Path]:
    """Return a snapshot of a machine with the hub installed, and the directory of its channel.

    The snapshot is made on first use, and again when its inputs have changed.
    """
    engine = find_engine()
    image = ensure_image(engine, release)
    directory = local_channel(release)
    tag = f"installed-{inputs_digest(image, directory)}"
    name = f"localhost/tljh-snapshot-{tag}"
    with caches.locked("installed"):
        if not has_image(engine, name):
            remove_outdated(engine)
            with Machine.boot(release, options=channel_mount(directory)) as machine:
                install(machine)
                # It waits for the first snapshot, whose files would change during the commit.
                machine.run("tljh env record")
                machine.snapshot(tag)
    return name, directory


def remove_outdated(engine: Engine) -> None:
    """Remove old snapshots of installations; another process may use one of the newest."""
    prefix = "localhost/tljh-snapshot-installed-"
    names = [name for name in snapshots(engine) if name.startswith(prefix)]
    for name in names[KEPT_SNAPSHOTS:]:
        # podman refuses to remove the image of a running machine.
        engine.run("rmi", name, check=False)
