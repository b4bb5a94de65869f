"""Runs Traefik for a moment on files that nobody serves yet, to see what it makes of them.

A process of its own (`python -I -m tljh.proxy.supervisor.trial BINARY`): files come as JSON on
standard input and are written to a scratch directory that goes with the process; the verdict is
JSON on standard output. Standard library only. See tljh/proxy/candidate_check.py for the caller.
"""

from __future__ import annotations

import base64
import json
import select
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tljh.proxy.supervisor.sockets import Listener, Unavailable, bind
from tljh.proxy.supervisor.traefik_process import Instance

# What the files may name in place of the scratch directory.
PLACE = "@scratch@"


READY_TIMEOUT_S = 20.0


# Traefik applies the files all at once, and logs what it could not use while it does.
SETTLE_S = 0.2


TICK_S = 0.02


def run(traefik: str, question: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """Start Traefik on loopback ports of its own; whether it came to serve, and what it wrote."""
    for name, content in question["files"].items():
        path = scratch / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(content).replace(PLACE.encode(), str(scratch).encode()))
    listeners = {name: _loopback() for name in question["entry_points"]}
    argv = [traefik, f"--configFile={scratch / 'traefik.yaml'}"]
    instance = Instance(0, argv, listeners, _loopback(), relays=False)
    instance.start()
    try:
        is_ready = _becomes_ready(instance)
    finally:
        instance.kill(signal.SIGKILL)
    return {"ready": is_ready, "lines": list(instance.last_lines)}


def _loopback() -> Listener:
    listener = bind("127.0.0.1:0")
    listener.listen()
    return listener


def _becomes_ready(instance: Instance) -> bool:
    deadline = time.monotonic() + READY_TIMEOUT_S
    settled_at: float | None = None
    while instance.output is not None:
        select.select([instance.output], [], [], TICK_S)
        instance.relay()
        now = time.monotonic()
        if settled_at is not None and now > settled_at:
            return instance.answers()
        # A complaint about the files is final: without an edit they are not read again.
        complained = any(" ERR " in line for line in instance.last_lines)
        if settled_at is None and (complained or instance.answers()):
            settled_at = now + SETTLE_S
        if now > deadline:
            return False
    return False


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="tljh-trial-") as scratch:
        try:
            verdict = run(sys.argv[1], json.load(sys.stdin), Path(scratch))
        except Unavailable as problem:
            verdict = {"ready": False, "lines": [str(problem)]}
    json.dump(verdict, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
