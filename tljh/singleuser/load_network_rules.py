"""The program of tljh-isolation.service, which runs at boot and when the rules have changed."""

from __future__ import annotations

import sys

from tljh.base.paths import get_paths
from tljh.host.real import RealHost
from tljh.singleuser.network_isolation import load


def main() -> None:
    problem = load(RealHost(), get_paths())
    if problem:
        # The unit does not fail: the hub must start without these rules, too. `tljh status` reports
        # the problem.
        print(f"users' ports are not kept apart: {problem}", file=sys.stderr)


if __name__ == "__main__":
    main()
