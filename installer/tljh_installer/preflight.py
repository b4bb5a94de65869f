"""Does this machine qualify? Judges facts, reads nothing and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from tljh.base.errors import Finding
from tljh_installer.facts import MachineFacts
from tljh_installer.index import FIX_INDEX
from tljh_installer.network import host_of
from tljh_installer.options import LOOPBACK_PORTS, Options

OLDEST = {"debian": (12,), "ubuntu": (22, 4)}
ARCHITECTURES = ("x86_64", "aarch64")
OLDEST_PYTHON = (3, 10)
# A virtual machine sold as 1 GB shows the kernel a little less.
LEAST_MEMORY_BYTES = 900 << 20
# The two environments are 1.0 GB together, their package caches and the apt packages the rest.
LEAST_FREE_BYTES = 3 << 30
LEAST_FREE_BYTES_AGAIN = 1 << 30
MOST_CLOCK_OFFSET_S = 3600


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())


def _system(facts: MachineFacts) -> Iterator[Finding]:
    oldest = OLDEST.get(facts.os_id)
    # Debian's testing and unstable have no version: newer than the newest release.
    version = _version(facts.os_version) or (9999,)
    if oldest is None or version < oldest:
        yield Finding(
            f"{facts.os_name} is not supported",
            fix="use Debian 12 or newer, or Ubuntu 22.04 or newer",
        )
    if facts.architecture not in ARCHITECTURES:
        yield Finding(
            f"processors of the kind {facts.architecture} are not supported",
            fix="use an x86_64 (amd64) or aarch64 (arm64) machine",
        )
    if not facts.has_systemd:
        yield Finding(
            "systemd does not run here as the first process",
            why="there is no /run/systemd/system; hub, proxy and users' servers are its services",
            fix="use a virtual machine, or a container that boots systemd",
        )
    if facts.uid != 0:
        yield Finding("this must run as root", fix="run it with sudo")
    if facts.python.version[:2] < OLDEST_PYTHON:
        yield Finding(
            f"Python 3.10 or newer is needed, {facts.python.path} is older",
            fix="use a distribution that has it: Debian 12 or newer, Ubuntu 22.04 or newer",
        )


def _room(facts: MachineFacts) -> Iterator[Finding]:
    if facts.memory_bytes < LEAST_MEMORY_BYTES:
        yield Finding(
            f"this machine has {facts.memory_bytes / (1 << 20):.0f} MB of memory",
            why="hub and proxy need 250 MB, each user at work 100 MB and up",
            fix="give it 1 GB or more",
        )
    for number, (directory, free) in enumerate(facts.free_bytes.items()):
        # The first is the file system of the installation; package caches may be on another.
        is_fresh = number == 0 and facts.previous != "ours"
        least = LEAST_FREE_BYTES if is_fresh else LEAST_FREE_BYTES_AGAIN
        if free < least:
            yield Finding(
                f"{free / 1e9:.1f} GB are free where {directory} is, "
                f"{least / 1e9:.1f} GB are needed",
                fix=f"make room there (df -h {directory}), or give the machine a larger disk",
            )


def _ports(facts: MachineFacts, options: Options) -> Iterator[Finding]:
    # A hub that is installed has its ports in its configuration, which may say others than
    # the defaults: `tljh install` checks those. Here count only the ones that were asked for.
    asked = tuple(port for port in (options.http_port, options.https_port) if port)
    ports = asked if facts.previous == "ours" else (*options.ports, *LOOPBACK_PORTS)
    for listener in facts.listeners:
        if listener.port not in ports or (listener.is_ours and facts.previous == "ours"):
            continue
        holder = f"{listener.process} (process {listener.pid})" if listener.pid else "somebody"
        choice = {options.ports[0]: "--http-port", options.ports[1]: "--https-port"}
        option = choice.get(listener.port)
        yield Finding(
            f"port {listener.port} is held by {holder}",
            fix="stop that" + (f", or choose another port with {option} N" if option else ""),
        )


def _previous(facts: MachineFacts, options: Options) -> Iterator[Finding]:
    if facts.previous == "tljh":
        version = f" {facts.previous_detail}" if facts.previous_detail else ""
        yield Finding(
            f"{options.prefix} holds The Littlest JupyterHub{version}",
            why="taking it over in place is not possible yet; it was left as it is",
            fix="use a fresh machine",
        )
    elif facts.previous == "foreign":
        yield Finding(
            f"{options.prefix} holds something else",
            why=facts.previous_detail,
            fix="move it away, or choose another directory with TLJH_INSTALL_PREFIX",
        )
    if facts.previous == "tljh":
        return  # its tljh-config is known to be there
    for path, what in facts.foreign_commands.items():
        yield Finding(f"{path} is {what}", fix=f"move it away: sudo mv {path} {path}.old")


def _network(facts: MachineFacts) -> Iterator[Finding]:
    for url, reason in facts.index_problems.items():
        yield Finding(
            f"the package index at {host_of(url)} cannot be used",
            why=f"{url} {reason}",
            fix=f"run it again; or {FIX_INDEX}",
        )
    for channel, reason in facts.channel_problems.items():
        yield Finding(
            f"the conda channel {channel} cannot be used",
            why=reason,
            fix="run it again; or name one that this machine reaches with --conda-channel URL "
            "(or TLJH_CONDA_CHANNELS), a proxy with HTTPS_PROXY",
        )
    reasons = [*facts.index_problems.values(), *facts.channel_problems.values()]
    if any(sign in reason for reason in reasons for sign in ("not yet valid", "has expired")):
        yield Finding(
            "the clock of this machine may be wrong",
            why="by it, a certificate of a server above is not valid yet, or not any more",
            fix="compare `date` with a watch; sudo timedatectl set-ntp true",
        )
    # One server may be wrong itself; all of them are not.
    off = min((abs(offset) for offset in facts.clock_offsets_s), default=0.0)
    if off > MOST_CLOCK_OFFSET_S:
        ahead = facts.clock_offsets_s[0] > 0
        yield Finding(
            f"the clock is {off / 3600:.0f} hours {'ahead' if ahead else 'behind'}",
            why="certificates, logins and apt depend on it",
            fix="sudo timedatectl set-ntp true",
        )


def refusals(facts: MachineFacts, options: Options) -> list[Finding]:
    """All reasons not to install here, at once; none where the machine qualifies."""
    return [
        *_system(facts),
        *_room(facts),
        *_ports(facts, options),
        *_previous(facts, options),
        *_network(facts),
    ]
