"""Check of the firewall: whether its rules are loaded, and do not wait for a confirmation."""

from __future__ import annotations

from collections.abc import Iterator

from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.firewall.facts import FirewallFacts, find_ssh_ports
from tljh.firewall.loaded_rules import get_files, is_loaded
from tljh.firewall.rules import find_open_ports
from tljh.plugins.checks import Check, CheckedMachine, Result


def _check(subject: CheckedMachine) -> Iterator[Result]:
    if subject.config is None or subject.facts is None or not subject.config.firewall.enabled:
        return
    host, files = subject.host, get_files(subject.paths)
    facts = subject.facts.of(FirewallFacts)
    if facts.other is not None:
        what = f"firewall.enabled has no effect: {facts.other} guards this machine"
        fix = "sudo tljh-config set firewall.enabled false && sudo tljh-config reload"
        yield Severity.FINE, Finding(what, why="two firewalls would contradict each other", fix=fix)
        return
    data = host.read(files.rules)
    if data is None:
        return  # not applied yet; the check "configuration" reports it
    if host.read(files.refused) == data:
        yield (
            Severity.DEGRADED,
            Finding(
                "the firewall went back: its rules were not confirmed in time",
                fix="sudo tljh firewall try, and within a minute: sudo tljh firewall confirm",
            ),
        )
    elif not is_loaded(host, data.decode()):
        yield (
            Severity.DEGRADED,
            Finding(
                "the rules of the firewall are not loaded",
                why="another program has removed them",
                fix="sudo tljh-config reload",
            ),
        )
    elif host.read(files.confirmed) != data:
        yield (
            Severity.DEGRADED,
            Finding("the firewall waits to be confirmed", fix="sudo tljh firewall confirm"),
        )


def _check_ssh_ports(subject: CheckedMachine) -> Iterator[Result]:
    """Report a port of SSH that was added since the rules were made."""
    data = subject.host.read(get_files(subject.paths).rules)
    if data is None:
        return

    opened = find_open_ports(data.decode())
    closed = [port for port in find_ssh_ports(subject.host) if port not in opened]
    if closed:
        yield (
            Severity.DEGRADED,
            Finding(
                f"the firewall closes a port of SSH: {', '.join(map(str, closed))}",
                why="sshd got it after the last reload",
                fix="sudo tljh-config reload, then: sudo tljh firewall confirm",
            ),
        )


CHECKS = (Check("firewall", _check), Check("firewall and SSH", _check_ssh_ports, is_quick=False))
