"""`make try`: a throwaway hub on this computer, by the real bootstrap."""

from __future__ import annotations

import socket
import time
import urllib.request

from machine.container import Machine
from machine.engine import CannotBoot, find_engine
from machine.image import CHECKOUT

NAME = "tljh-try"
CONDA_FORGE = "https://conda.anaconda.org/conda-forge/noarch/repodata.json.zst"


def free_port(wanted: int = 8000) -> int:
    """`wanted` on loopback, or the next one that is free."""
    for port in (*range(wanted, wanted + 50), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CannotBoot("no port on loopback is free")


def conda_forge_answers(timeout_s: float = 10) -> bool:
    """Whether conda-forge really serves its index: some proxies answer everything with 200."""
    try:
        with urllib.request.urlopen(CONDA_FORGE, timeout=timeout_s) as answer:
            return bytes(answer.read(4)) == b"\x28\xb5\x2f\xfd"  # zstd
    except OSError:
        return False


def try_it(image: str, admin: str) -> int:
    """Boot a machine, install the hub in it, and say how to get in."""
    raise NotImplementedError


def remove() -> None:
    """Remove the machine of `make try`."""
    raise NotImplementedError
