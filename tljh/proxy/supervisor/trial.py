"""A trial of candidate files: starts Traefik with them and reports what it logs.

A separate process (`python -I -m tljh.proxy.supervisor.trial BINARY`). The files come as JSON on
standard input; they are in a scratch directory while the process runs. The verdict is JSON on
standard output. Standard library only. tljh/proxy/candidate_check.py is the caller.
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

from tljh.base.paths import Paths
from tljh.proxy.supervisor.sockets import AddressUnavailable, Listener, bind
from tljh.proxy.supervisor.traefik_process import TraefikInstance

# Replaced in the files by the path of the scratch directory, which the caller does not know.
PLACE = "@scratch@"


READY_TIMEOUT_S = 20.0


# Traefik loads all files at once, and logs what it cannot use while it does.
SETTLE_S = 0.2


TICK_S = 0.02


def run(traefik: str, question: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """Start Traefik with candidate files on free loopback ports, and end it.

    Returns whether it became ready, and the last lines of its log. `question` has the files, by
    name in base64, and the names of the entry points.
    """
    for name, content in question["files"].items():
        path = scratch / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(content).replace(PLACE.encode(), str(scratch).encode()))
    listeners = {name: _make_loopback_listener() for name in question["entry_points"]}
    argv = [traefik, f"--configFile={Paths(traefik_dir=scratch).traefik_static}"]
    instance = TraefikInstance(0, argv, listeners, _make_loopback_listener(), relays=False)
    instance.start()
    try:
        is_ready = _wait_until_ready(instance)
    finally:
        instance.kill(signal.SIGKILL)
    return {"ready": is_ready, "lines": list(instance.last_lines)}


def _make_loopback_listener() -> Listener:
    listener = bind("127.0.0.1:0")
    listener.listen()
    return listener


def _wait_until_ready(instance: TraefikInstance) -> bool:
    """Wait until Traefik answers, ends, or reports an error. Return whether it answers."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    settled_at: float | None = None
    while instance.output is not None:
        select.select([instance.output], [], [], TICK_S)
        instance.relay()
        now_s = time.monotonic()
        if settled_at is not None and now_s > settled_at:
            return instance.answers()
        # An error in the files is final: Traefik does not read unchanged files again.
        has_error = any(" ERR " in line for line in instance.last_lines)
        if settled_at is None and (has_error or instance.answers()):
            settled_at = now_s + SETTLE_S
        if now_s > deadline:
            return False
    return False


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="tljh-trial-") as scratch:
        try:
            verdict = run(sys.argv[1], json.load(sys.stdin), Path(scratch))
        except AddressUnavailable as problem:
            verdict = {"ready": False, "lines": [str(problem)]}
    json.dump(verdict, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
