"""The check whether a machine qualifies; a pure function of the facts and options."""

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
# The kernel of a virtual machine that is sold as 1 GB sees a little less.
LEAST_MEMORY_BYTES = 900 << 20
# Both environments take 1.0 GB; package caches and Debian packages take the rest.
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
            f"the processor architecture {facts.architecture} is not supported",
            fix="use an x86_64 (amd64) or aarch64 (arm64) machine",
        )
    if not facts.has_systemd:
        yield Finding(
            "this machine was not booted with systemd",
            why="there is no /run/systemd/system; hub, proxy and users' servers are systemd units",
            fix="use a virtual machine, or a container that boots systemd",
        )
    if facts.uid != 0:
        yield Finding("the installer must run as root", fix="run it with sudo")
    if facts.python.version[:2] < OLDEST_PYTHON:
        yield Finding(
            f"Python 3.10 or newer is needed, {facts.python.path} is older",
            fix="use a distribution that has it: Debian 12 or newer, Ubuntu 22.04 or newer",
        )


def _memory_and_disk(facts: MachineFacts) -> Iterator[Finding]:
    if facts.memory_bytes < LEAST_MEMORY_BYTES:
        yield Finding(
            f"this machine has {facts.memory_bytes / (1 << 20):.0f} MB of memory",
            why="hub and proxy need 250 MB, each active user 100 MB or more",
            fix="give it 1 GB or more",
        )
    for number, (directory, free) in enumerate(facts.free_bytes.items()):
        # The first is the file system of the installation; package caches may be on another.
        is_fresh = number == 0 and facts.previous not in ("ours", "tljh")
        least = LEAST_FREE_BYTES if is_fresh else LEAST_FREE_BYTES_AGAIN
        if free < least:
            yield Finding(
                f"{free / 1e9:.1f} GB are free where {directory} is, "
                f"{least / 1e9:.1f} GB are needed",
                fix=f"free disk space (df -h {directory}), or give the machine a larger disk",
            )


def _ports(facts: MachineFacts, options: Options) -> Iterator[Finding]:
    # An installed hub has its ports in config.yaml, which need not be the defaults: `tljh install`
    # checks those. So check only the ports on the command line here. The same for a hub of The
    # Littlest JupyterHub, which may be behind another web server that has the usual ports.
    requested = tuple(port for port in (options.http_port, options.https_port) if port)
    has_hub = facts.previous in ("ours", "tljh")
    ports = requested if has_hub else (*options.ports, *LOOPBACK_PORTS)
    for listener in facts.listeners:
        # The Littlest JupyterHub has units of the same names: to stop its hub is no advice.
        is_of_hub = listener.is_ours and facts.previous in ("ours", "tljh")
        if listener.port not in ports or is_of_hub:
            continue
        program = f"{listener.process} (process {listener.pid})"
        owner = program if listener.pid else "another program"
        option_of_port = {options.ports[0]: "--http-port", options.ports[1]: "--https-port"}
        option = option_of_port.get(listener.port)
        yield Finding(
            f"port {listener.port} is used by {owner}",
            fix="stop it" + (f", or choose another port with {option} N" if option else ""),
        )


def _previous(facts: MachineFacts, options: Options) -> Iterator[Finding]:
    if facts.previous == "tljh":
        yield from _takeover(facts, options)
    elif facts.previous == "foreign":
        yield Finding(
            f"{options.prefix} contains files of another program",
            why=facts.previous_detail,
            fix="move them away, or choose another directory with TLJH_INSTALL_PREFIX",
        )
    if facts.previous == "tljh":
        return  # its tljh-config is expected, and needs no finding
    for path, kind in facts.foreign_commands.items():
        yield Finding(f"{path} is {kind}", fix=f"move it away: sudo mv {path} {path}.old")


def _takeover(facts: MachineFacts, options: Options) -> Iterator[Finding]:
    """Yield why The Littlest JupyterHub in the prefix cannot be taken over in place."""
    for problem, fix in facts.takeover_problems:
        yield Finding(
            f"The Littlest JupyterHub in {options.prefix} cannot be taken over: {problem}",
            why="nothing was changed; it runs as before",
            fix=fix,
        )
    if options.restore:
        yield Finding(
            f"{options.prefix} contains The Littlest JupyterHub",
            why="a backup is restored onto a machine without a hub only",
            fix="leave --restore out to take it over, or use a fresh machine",
        )


def _network(facts: MachineFacts) -> Iterator[Finding]:
    for url, reason in facts.index_problems.items():
        yield Finding(
            f"the package index at {host_of(url)} cannot be used",
            why=f"{url} {reason}",
            fix=f"run this again; or {FIX_INDEX}",
        )
    for channel, reason in facts.channel_problems.items():
        yield Finding(
            f"the conda channel {channel} cannot be used",
            why=reason,
            fix="run this again; or name one that this machine reaches with --conda-channel URL "
            "(or TLJH_CONDA_CHANNELS), a proxy with HTTPS_PROXY",
        )
    reasons = [*facts.index_problems.values(), *facts.channel_problems.values()]
    if any(sign in reason for reason in reasons for sign in ("not yet valid", "has expired")):
        yield Finding(
            "the clock of this machine may be wrong",
            why="by this clock, the certificate of a server above is not yet or no longer valid",
            fix="compare the output of date with a watch, then: sudo timedatectl set-ntp true",
        )
    # A single server's clock may be wrong, so the smallest offset counts.
    offset_s = min((abs(offset) for offset in facts.clock_offsets_s), default=0.0)
    if offset_s > MOST_CLOCK_OFFSET_S:
        is_ahead = facts.clock_offsets_s[0] > 0
        yield Finding(
            f"the clock is {offset_s / 3600:.0f} hours {'ahead' if is_ahead else 'behind'}",
            why="certificates, logins and apt depend on it",
            fix="sudo timedatectl set-ntp true",
        )


def refusals(facts: MachineFacts, options: Options) -> list[Finding]:
    """Return all reasons not to install here; empty if the machine qualifies."""
    return [
        *_system(facts),
        *_memory_and_disk(facts),
        *_ports(facts, options),
        *_previous(facts, options),
        *_network(facts),
    ]
