"""The queue of starting servers: a class that comes at once waits in turn and is not refused.

A start keeps a processor busy for seconds. If a whole class starts at the same time, each start
takes as long as all of them together and fails at its timeout. If a few start at a time, the first
are ready within seconds, and the last are not later than they would have been.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class QueueClosed(Exception):
    """Raised for starts in the queue of a hub that is about to restart."""


class QueuePlace:
    """One place in the queue."""

    def __init__(self) -> None:
        self.comes: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class StartQueue:
    """A queue that runs `width` starts at the same time, in the order of their arrival."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.busy = 0
        self._waiting: deque[QueuePlace] = deque()
        self._is_closed = False

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def ahead_of(self, turn: QueuePlace) -> int | None:
        """Return how many starts wait before this one; None once it is not waiting."""
        try:
            return self._waiting.index(turn)
        except ValueError:
            return None

    @asynccontextmanager
    async def take(self, turn: QueuePlace) -> AsyncIterator[None]:
        """Wait for a place's turn and hold it during the block. Raises QueueClosed."""
        if self._is_closed:
            raise QueueClosed
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
                    # The turn had come in the same round of the loop: pass it on, or the queue
                    # would lose a place for ever.
                    self._next()
                raise
        try:
            yield
        finally:
            self._next()

    def close(self) -> None:
        """Raise `QueueClosed` in all starts that wait, and in those that arrive later."""
        self._is_closed = True
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.comes.done():
                turn.comes.set_exception(QueueClosed())

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.comes.done():
                # The place passes from the start that ended to this one, so `busy` stays the same.
                turn.comes.set_result(None)
                return
        self.busy -= 1


class Gate:
    """A gate for one start at a time, with a round of the event loop between two.

    Before a start reaches the queue, JupyterHub creates tokens and writes its database, which
    blocks the loop for 25 ms. 50 starts in the same instant blocked all other requests for 1.5 s.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def pass_through(self) -> None:
        async with self._lock:
            # The lock wakes the next start in the loop's next round; that one waits here for
            # another. So other requests get their turn between two starts.
            await asyncio.sleep(0)
