"""The process of traefik.service: runs Traefik and hands over to a new one without a gap.

    python -I -m tljh.proxy.supervisor --traefik BIN --config DIR --runtime DIR
    python -I -m tljh.proxy.supervisor --runtime DIR --reload

It owns the listening sockets. A change of Traefik's static configuration needs a new process. A
reload starts a second Traefik on a second set of sockets, and steers new connections to it once it
routes requests (tljh/proxy/supervisor/sockets.py). The first Traefik finishes its open requests and
web sockets. If the second fails, the first keeps serving and the reload fails with the reason.
While a crashed Traefik is replaced, connections wait at its sockets. docs/supervisor.md has the
states. Standard library only; one thread, a few megabytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tljh.proxy.supervisor.event_loop import Supervisor
from tljh.proxy.supervisor.interface import KEEP_ALIVE_LIMIT_S
from tljh.proxy.supervisor.reload_control import ask_reload
from tljh.proxy.supervisor.status import log


def make_option_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; its defaults are what the unit runs with."""
    parser = argparse.ArgumentParser(prog="tljh.proxy.supervisor", description=__doc__)
    parser.add_argument("--traefik", type=Path, help="the Traefik binary")
    parser.add_argument("--config", type=Path, help="directory of Traefik's files")
    parser.add_argument("--runtime", type=Path, required=True, help="for state and control socket")
    parser.add_argument("--reload", action="store_true", help="make the running one reload")
    parser.add_argument("--ready-timeout", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--linger", type=float, default=2.0, metavar="SECONDS")
    parser.add_argument("--keep-alive", type=float, default=KEEP_ALIVE_LIMIT_S, metavar="SECONDS")
    parser.add_argument("--stop-grace", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("--max-draining", type=int, default=8, metavar="NUMBER")
    return parser


def main() -> int:
    parser = make_option_parser()
    options = parser.parse_args()
    if options.reload:
        # A reload that is in progress ends before this one begins.
        timeout_s = 2 * options.ready_timeout + 5
        ok, message = ask_reload(options.runtime, timeout_s)
        log(message)
        return 0 if ok else 1
    if options.traefik is None or options.config is None:
        parser.error("--traefik and --config are needed")
    return Supervisor(options).run()


if __name__ == "__main__":
    sys.exit(main())
