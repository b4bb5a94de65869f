"""Hashing passwords beside the hub's event loop, and behind it when processors are scarce.

A hash takes 0.2 s of a processor on purpose. A class that logs in at once must not make everybody
else's requests wait: one processor stays free of it, and its threads are nicer than the loop's.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from tljh.host.password_store import hash_password, is_password

T = TypeVar("T")


NICENESS = 5


@cache
def _threads() -> ThreadPoolExecutor:
    processors = os.cpu_count() or 1
    # On Linux niceness belongs to the thread that asks for it.
    return ThreadPoolExecutor(max(1, processors - 1), "hashing", os.nice, (NICENESS,))


async def in_hashing_thread(function: Callable[..., T], *arguments: object) -> T:
    """Run something that hashes where it holds nobody up."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), function, *arguments)


async def hashed(password: str) -> bytes:
    return await in_hashing_thread(hash_password, password)


async def matches(password: str, stored: bytes) -> bool:
    return await in_hashing_thread(is_password, password, stored)
