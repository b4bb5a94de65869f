"""Signals that ask a command to end: Ctrl-C, a closed terminal or SSH session, `kill`, a shutdown.

They become an exception in the main thread, so that a change is rolled back before the command
ends. Code that must not be cut in the middle holds them back. After a change that is kept, the
first signal comes too late and has no effect: the command finishes what belongs to the change, such
as the archive of a removed user's home. A second one ends it. Signals belong to the whole process,
and so does the state here.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tljh.base.errors import Exit

SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)


class Interruption(KeyboardInterrupt):
    """One of `SIGNALS` has arrived; code that catches Ctrl-C catches all of them."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.signal = signal.Signals(number)


@dataclass
class _SignalState:
    are_held_back: bool = False
    # After the first one was raised, no other may cut what the command still cleans up.
    is_ending: bool = False
    is_change_kept: bool = False
    received: int | None = None


_state = _SignalState()


def exit_code_of(error: BaseException) -> Exit:
    """Return 128 plus the number of the signal that led to this error, as shells do."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Interruption):
            return Exit(128 + cause.signal)
        cause = cause.__cause__
    return Exit.INTERRUPTED


def _on_signal(number: int, frame: object) -> None:
    is_too_late = _state.is_change_kept and _state.received is None
    if _state.are_held_back or _state.is_ending or is_too_late:
        _state.received = _state.received or number
    else:
        _raise(number)


def _raise(number: int) -> None:
    _state.is_ending = True
    raise Interruption(number)


@contextmanager
def raised_as_exceptions() -> Iterator[None]:
    """Raise `Interruption` for `SIGNALS` during the block; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in SIGNALS}
    # `nohup` and shells have a background command ignore signals: that stays so.
    changed = [number for number, handler in previous.items() if handler != signal.SIG_IGN]
    for number in changed:
        signal.signal(number, _on_signal)
    _state.is_ending, _state.is_change_kept, _state.received = False, False, None
    try:
        yield
    finally:
        _state.received = None
        for number in changed:
            signal.signal(number, previous[number] or signal.SIG_DFL)


def are_held_back() -> bool:
    """Return whether a signal would not end what the process does now."""
    return _state.are_held_back or (_state.is_change_kept and _state.received is None)


@contextmanager
def held_back() -> Iterator[None]:
    """Let no signal cut the block. One that came meanwhile is raised at its end.

    Within another such block it is raised at the end of that one, and after a failure not at all.
    """
    outer = _state.are_held_back
    received: int | None = None
    _state.are_held_back = True
    try:
        yield
    finally:
        _state.are_held_back = outer
        if not outer and not _state.is_change_kept:
            received, _state.received = _state.received, None
    if not outer and received is not None:
        _raise(received)


@contextmanager
def let_through() -> Iterator[None]:
    """Within `held_back`, let the first signal cut the block, also one that came before it."""
    try:
        _state.are_held_back = False
        received, _state.received = _state.received, None
        if received is not None:
            _raise(received)
        yield
    finally:
        _state.are_held_back = True


def keep_change() -> None:
    """Record that a change was made and stays; a signal that was held back came too late."""
    _state.is_change_kept, _state.received = True, None


def is_change_kept() -> bool:
    return _state.is_change_kept
