"""Starts of servers that are in progress, and how to cancel one.

JupyterHub refuses to stop a server that is still starting. A user who is shut out could then keep
a start in the queue for an hour and get a server at the end. So starts are run as tasks that can
be cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from tljh.hub.process.server_start import ServerFailed
from tljh.hub.process.start_queue import Gate

Spawn = Callable[..., Awaitable[Any]]


# By the user's id in the hub's database and the server's name.
_in_progress: dict[tuple[int, str], asyncio.Task[Any]] = {}


def serialize_spawns(spawn: Spawn) -> Spawn:
    """Wrap JupyterHub's `User.spawn` so that starts come one by one and can be cancelled."""
    gate = Gate()

    async def in_turn(*args: Any, **kwargs: Any) -> Any:
        await gate.pass_through()
        return await spawn(*args, **kwargs)

    @wraps(spawn)
    async def spawn_in_turn(user: Any, server_name: str = "", *args: Any, **kwargs: Any) -> Any:
        task = asyncio.ensure_future(in_turn(user, server_name, *args, **kwargs))
        _in_progress[user.id, server_name] = task
        try:
            return await task
        except asyncio.CancelledError:
            # `cancel_start` removes the task before it cancels it. If it is still here, the hub
            # itself is ending.
            if _in_progress.get((user.id, server_name)) is task:
                raise
            # JupyterHub cleans up after exceptions only, and CancelledError is a BaseException.
            await user.stop(server_name)
            raise ServerFailed("Your server was not started: an admin cancelled it.") from None
        finally:
            if _in_progress.get((user.id, server_name)) is task:
                del _in_progress[user.id, server_name]

    return spawn_in_turn


def cancel_start(user: Any, server_name: str) -> None:
    """Cancel a start if one is in progress; the server stays pending until the start has ended."""
    task = _in_progress.pop((user.id, server_name), None)
    if task is not None:
        task.cancel()
