"""Looking for events and sending alerts about them, from a timer; and a test of the channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from shlex import quote
from typing import TYPE_CHECKING

from tljh.alerts.channels import Channel, list_channels
from tljh.alerts.events import AlertState, Event, Message, OpenEvent, advance, record_delivery
from tljh.alerts.state_file import read_alert_state, write_alert_state
from tljh.base.clock import get_utc_time
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.host.command_environment import changed_environment
from tljh.host.interface import Host, HostReader
from tljh.operations.alert_events import find_events, read_own_address
from tljh.operations.checks import examine_machine
from tljh.settings.derived import get_site_url
from tljh.settings.package_variables import read_package_variables, select_network_variables

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class AlertRun:
    """The events that last, and the channels that did not take their messages, with the reason."""

    open: Sequence[OpenEvent]
    sent: int
    problems: dict[str, str]


def run_alerts(host: Host, paths: Paths) -> AlertRun:
    """Look for events, and send what began and what ended since the last run.

    What a channel does not take is sent by the next run. Raises TljhError if no hub is installed.
    """
    with host.lock(paths.alerts_lock, timeout_s=0):
        subject = examine_machine(host, paths)
        if subject.config is None:
            raise _no_configuration(paths)
        config = subject.config
        channels = list_channels(config.alerts)
        before = read_alert_state(host, paths)
        events = find_events(subject, config, before)
        state = advance(before, events, [each.key for each in channels], _format_time())
        if "address" not in state.open:
            state = replace(state, address=read_own_address(host) or state.address)
        # Written before the messages are sent: a killed run sends them again rather than never.
        write_alert_state(host, paths, state)
        sent = 0
        for channel in channels:
            waiting = state.waiting.get(channel.key, ())
            if not waiting:
                continue
            problem = _deliver(host, paths, channel, name_hub(host, config), waiting)
            sent += 0 if problem else len(waiting)
            state = record_delivery(state, channel.key, problem)
            write_alert_state(host, paths, state)
    names = {channel.key: channel.name for channel in channels}
    problems = {names[key]: text for key, text in state.problems.items()}
    return AlertRun(list(state.open.values()), sent, problems)


def test_alerts(host: Host, paths: Paths) -> dict[str, str | None]:
    """Send a message to each channel; return the reason for those that did not take it, else None.

    Raises TljhError if no channel is configured.
    """
    config = _read_config(host, paths)
    channels = list_channels(config.alerts)
    if not channels:
        raise TljhError(
            "no channel for alerts is configured",
            fix="sudo tljh-config add-item alerts.mail.to you@example.org && "
            "sudo tljh-config reload; or alerts.webhooks",
        )
    event = Event("test", "this is a test of alerts", why="an admin has asked for it")
    message = Message("test", _format_time(), event)
    outcome = {}
    for channel in channels:
        problem = _deliver(host, paths, channel, name_hub(host, config), [message])
        outcome[channel.name] = problem
        if problem is None:
            state = read_alert_state(host, paths)
            # What waited is sent by the next run; the channel works again.
            problems = {key: text for key, text in state.problems.items() if key != channel.key}
            write_alert_state(host, paths, replace(state, problems=problems))
    return outcome


def accept_event(host: Host, paths: Paths, name: str) -> None:
    """Take the machine's present address as the right one. Raises TljhError for another event."""
    state = read_alert_state(host, paths)
    if name != "address":
        raise TljhError(
            f"{name} ends when its cause does",
            fix=f"to have no alerts of it: sudo tljh-config add-item alerts.ignore {quote(name)}",
        )
    write_alert_state(host, paths, replace(state, address=read_own_address(host)))


def list_open_events(host: HostReader, paths: Paths) -> AlertState:
    """Return what the last run of the timer saw."""
    return read_alert_state(host, paths)


def _read_config(host: HostReader, paths: Paths) -> Config:
    config = examine_machine(host, paths).config
    if config is None:
        raise _no_configuration(paths)
    return config


def _no_configuration(paths: Paths) -> TljhError:
    return TljhError(
        f"there is no working configuration of a hub at {paths.prefix}", fix="sudo tljh status"
    )


def _deliver(
    host: Host, paths: Paths, channel: Channel, hub: str, messages: Sequence[Message]
) -> str | None:
    """Send messages; return why the channel did not take them, or None."""
    network = select_network_variables(read_package_variables(host, paths))
    try:
        with changed_environment(network):
            channel.send(host, hub, messages)
    except (TljhError, OSError) as error:
        return str(error)
    return None


def name_hub(host: HostReader, config: Config) -> str:
    """Return the name of the hub in messages: its host name, or that of the machine."""
    from urllib.parse import urlsplit

    site = get_site_url(config)
    if site is not None:
        return urlsplit(site).hostname or site
    return host.query(["hostname"]).out.strip() or "hub"


def _format_time() -> str:
    return get_utc_time().isoformat(timespec="seconds")
