"""The file with what the alerts remember, and its copy in memory for a full disk."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tljh.alerts.events import AlertState, Event, Message, OpenEvent
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.host.interface import Host, HostReader


def read_alert_state(host: HostReader, paths: Paths) -> AlertState:
    """Return what was remembered; a damaged file counts as missing."""
    # The copy in /run is newer where the disk was full, and goes with a reboot.
    for path in (paths.alert_state_copy, paths.alert_state):
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            data = host.read(path)
            if data is not None:
                return _parse(json.loads(data))
    return AlertState()


def write_alert_state(host: Host, paths: Paths, state: AlertState) -> None:
    """Write the state, on a full disk to /run only: an event there is must not be sent again."""
    data = json.dumps(asdict(state), indent=2).encode() + b"\n"
    host.write(paths.alert_state_copy, data, mode=0o600)
    with contextlib.suppress(OSError, TljhError):
        host.write(paths.alert_state, data, mode=0o600)


def _parse(data: Mapping[str, Any]) -> AlertState:
    return AlertState(
        open={
            name: OpenEvent(Event(**each["event"]), str(each["since"]))
            for name, each in data["open"].items()
        },
        waiting={
            key: tuple(_parse_message(each) for each in messages)
            for key, messages in data["waiting"].items()
        },
        problems=dict(data["problems"]),
        address=data["address"],
    )


def _parse_message(data: Mapping[str, Any]) -> Message:
    return Message(data["phase"], data["time"], Event(**data["event"]), data["since"])
