"""Events, and what is open: each event is reported once when it begins and once when it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

# A channel that is away for days must not fill the disk; the oldest messages go first.
MOST_WAITING = 50

Phase = Literal["begins", "ends", "test"]


@dataclass(frozen=True)
class Event:
    """A condition that needs an admin; `name` is the same for as long as it lasts."""

    name: str
    what: str
    why: str = ""
    fix: str = ""


@dataclass(frozen=True)
class OpenEvent:
    """An event that was reported and lasts, with the time (ISO, UTC) when it was seen first."""

    event: Event
    since: str


@dataclass(frozen=True)
class Message:
    """One sentence to send: an event begins or ends, or a test."""

    phase: Phase
    time: str
    event: Event
    since: str = ""


@dataclass(frozen=True)
class AlertState:
    """What the runs of the timer remember.

    `waiting` has the messages that a channel has not taken yet, by the channel's key; `problems`
    the reason. `address` is the machine's address when all was well with it.
    """

    open: Mapping[str, OpenEvent] = field(default_factory=dict)
    waiting: Mapping[str, tuple[Message, ...]] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    address: str | None = None


def advance(
    state: AlertState, events: Sequence[Event], channels: Sequence[str], time: str
) -> AlertState:
    """Return the state with the messages that follow from the events of this run.

    `channels` are the keys of the channels; what waits for a channel that is gone is dropped.
    """
    present = {event.name: event for event in events}
    messages = [
        Message("begins", time, event) for name, event in present.items() if name not in state.open
    ]
    messages += [
        Message("ends", time, each.event, each.since)
        for name, each in state.open.items()
        if name not in present
    ]
    still_open = {
        name: OpenEvent(event, state.open[name].since if name in state.open else time)
        for name, event in present.items()
    }
    waiting = {key: (*state.waiting.get(key, ()), *messages)[-MOST_WAITING:] for key in channels}
    problems = {key: text for key, text in state.problems.items() if key in channels}
    return replace(state, open=still_open, waiting=waiting, problems=problems)


def record_delivery(state: AlertState, channel: str, problem: str | None) -> AlertState:
    """Return the state after an attempt to deliver what waits for a channel."""
    problems = {key: text for key, text in state.problems.items() if key != channel}
    if problem is not None:
        return replace(state, problems={**problems, channel: problem})
    return replace(state, problems=problems, waiting={**state.waiting, channel: ()})
