"""The starts of servers that are under way, and calling one off: whoever is put out starts nothing.

JupyterHub refuses to stop a server that is still starting, and would wait for it, in the queue
and until its timeout.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from tljh.hub.process.server_start import ServerFailed
from tljh.hub.process.start_queue import Gate

Spawn = Callable[..., Awaitable[Any]]


# By the user's number and the server's name.
_under_way: dict[tuple[int, str], asyncio.Task[Any]] = {}


def one_by_one(spawn: Spawn) -> Spawn:
    """JupyterHub's `User.spawn`, for a class whose starts come in the same instant."""
    gate = Gate()

    async def in_turn(*args: Any, **kwargs: Any) -> Any:
        await gate.pass_through()
        return await spawn(*args, **kwargs)

    @wraps(spawn)
    async def spawn_in_turn(user: Any, server_name: str = "", *args: Any, **kwargs: Any) -> Any:
        task = asyncio.ensure_future(in_turn(user, server_name, *args, **kwargs))
        _under_way[user.id, server_name] = task
        try:
            return await task
        except asyncio.CancelledError:
            if _under_way.get((user.id, server_name)) is task:
                # Not called off: the hub ends.
                raise
            # What is there of it ends; JupyterHub does so for exceptions alone.
            await user.stop(server_name)
            raise ServerFailed("Your server is not started: an administrator ended it.") from None
        finally:
            if _under_way.get((user.id, server_name)) is task:
                del _under_way[user.id, server_name]

    return spawn_in_turn


def call_off(user: Any, server_name: str) -> None:
    """End a start, if one is under way; the server is pending until it has ended."""
    task = _under_way.pop((user.id, server_name), None)
    if task is not None:
        task.cancel()
