"""`tljh alerts`: try the channels, list what is open, and look for events now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from tljh.alerts.events import AlertState
from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.commands.parameters import Argument, Summary
from tljh.host.real import RealHost
from tljh.operations import alerts as operations


@dataclass(frozen=True)
class ChannelTest:
    """Each channel with the reason why it did not take a test, or None."""

    outcome: dict[str, str | None]

    @property
    def exit_code(self) -> int:
        return 1 if any(self.outcome.values()) else 0

    def as_text(self) -> str:
        lines = []
        for name, problem in self.outcome.items():
            lines.append(f"{name}: {'not taken' if problem else 'taken'}")
            lines += [f"  {line}" for line in (problem or "").splitlines()]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        return {
            "channels": [
                {"name": name, "taken": problem is None, "problem": problem}
                for name, problem in self.outcome.items()
            ]
        }


def test() -> ChannelTest:
    """Send a test to each address and webhook; the exit code is 1 if one did not take it."""
    return ChannelTest(operations.test_alerts(RealHost(), get_paths()))


def run() -> Summary:
    """Look for events now, and send what began and what ended; the timer does the same."""
    done = operations.run_alerts(RealHost(), get_paths())
    lines = [f"{format_count(len(done.open), 'event')} open, {format_count(done.sent, 'message')}"]
    lines[0] += " sent"
    lines += [f"not taken: {name}: {problem}" for name, problem in done.problems.items()]
    data = {
        "open": [each.event.name for each in done.open],
        "sent": done.sent,
        "problems": done.problems,
    }
    return Summary(tuple(lines), data)


@dataclass(frozen=True)
class EventList:
    """The events that lasted at the last look."""

    state: AlertState

    def as_text(self) -> str:
        if not self.state.open:
            return "no event is open"
        lines = []
        for name, each in self.state.open.items():
            lines.append(
                f"{name}, since {each.since[:16].replace('T', ' ')} UTC: {each.event.what}"
            )
            lines += [f"  fix: {each.event.fix}"] if each.event.fix else []
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        return {
            "events": [
                {"name": name, "since": each.since, "what": each.event.what, "fix": each.event.fix}
                for name, each in self.state.open.items()
            ]
        }


def list_events() -> EventList:
    """List the events that last, as the timer saw them."""
    return EventList(operations.list_open_events(RealHost(), get_paths()))


def accept(
    event: Annotated[str, Argument("EVENT", "address: the present one is right.")],
) -> Summary:
    """End the event `address`: the machine's present address is the right one from now on."""
    operations.accept_event(RealHost(), get_paths(), event)
    return Summary((f"{event}: the present one is right from now on",), {"accepted": event})
