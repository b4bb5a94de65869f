"""Password hashing in threads, outside the hub's event loop and at a lower priority.

A hash takes 0.2 s of a processor on purpose. A class that logs in at the same moment must not
hold up other requests, so one processor is never used for hashing, and the hashing threads give
way to the event loop.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from tljh.host.password_store import hash_password, is_password

T = TypeVar("T")


NICENESS = 5


@cache
def _get_threads() -> ThreadPoolExecutor:
    processors = os.cpu_count() or 1
    # On Linux, nice() changes the calling thread only, not the whole process.
    return ThreadPoolExecutor(max(1, processors - 1), "hashing", os.nice, (NICENESS,))


async def run_in_hashing_thread(function: Callable[..., T], *arguments: object) -> T:
    """Call a function that hashes in one of the hashing threads."""
    return await asyncio.get_running_loop().run_in_executor(_get_threads(), function, *arguments)


async def hash_in_thread(password: str) -> bytes:
    return await run_in_hashing_thread(hash_password, password)


async def matches_hash(password: str, stored: bytes | None) -> bool:
    """Return whether a password has the stored hash.

    It takes the same time where there is none. A quick answer would give away which names exist.
    """
    is_right = await run_in_hashing_thread(is_password, password, stored or _get_unmatched_hash())
    return is_right and stored is not None


@cache
def _get_unmatched_hash() -> bytes:
    return hash_password(secrets.token_hex())
