"""The queue of starting servers: a class that comes at once is served in turn, not refused.

A start keeps a processor busy for seconds. Where all of a class start together each one takes as
long as all of them, and runs into its timeout; where some start at a time the first are ready in
seconds and nobody has to wait longer than before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Closed(Exception):
    """Nobody's turn comes any more: the hub is about to restart."""


class Turn:
    """One place in the queue."""

    def __init__(self) -> None:
        self.comes: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class StartQueue:
    """Lets `width` be at work at the same time, first come, first served."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.busy = 0
        self._waiting: deque[Turn] = deque()
        self._is_closed = False

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def ahead_of(self, turn: Turn) -> int | None:
        """How many wait before this one; None once it does not wait any more."""
        try:
            return self._waiting.index(turn)
        except ValueError:
            return None

    @asynccontextmanager
    async def take(self, turn: Turn) -> AsyncIterator[None]:
        """Wait for the turn, and hold it for as long as the block lasts."""
        if self._is_closed:
            raise Closed
        if self.busy < self.width:
            self.busy += 1
        else:
            self._waiting.append(turn)
            try:
                await turn.comes
            except asyncio.CancelledError:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                elif not turn.comes.cancelled():
                    self._next()
                raise
        try:
            yield
        finally:
            self._next()

    def close(self) -> None:
        """Send everybody away who waits or comes: `Closed` is raised where they wait."""
        self._is_closed = True
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.comes.done():
                turn.comes.set_exception(Closed())

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.comes.done():
                # Whoever leaves hands the place on, so `busy` stays.
                turn.comes.set_result(None)
                return
        self.busy -= 1


class Gate:
    """Lets one through at a time, and the event loop do everything else between two.

    Before a start takes its place in the queue JupyterHub makes tokens and writes its database,
    25 ms without a pause: 50 starts in the same instant kept everybody else waiting for 1.5 s.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def pass_through(self) -> None:
        async with self._lock:
            # The next one wakes up a round of the loop later, and waits for another here.
            await asyncio.sleep(0)
