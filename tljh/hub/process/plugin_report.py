"""Report plugins that failed in the hub process: in its log, and for `tljh status`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from tljh.base.paths import get_paths
from tljh.host.real import RealHost
from tljh.plugins.manager import PluginFailure
from tljh.plugins.selection import parse_names


def report_failures(failures: Sequence[PluginFailure], login_plugins: Sequence[str]) -> None:
    """Print the failures of this hub's start, and record them; a start without any clears them.

    The plugins that chose the way to log in are recorded, too.
    """
    for failure in failures:
        print(failure.finding.as_text("warning"), file=sys.stderr)
    if "TLJH_APPLIED" in os.environ:
        # A candidate that is tried, not the hub.
        return
    host, file = RealHost(), get_paths().plugin_failures
    names = get_paths().login_plugins
    if set(login_plugins) != parse_names(host.read(names)):
        host.write(names, json.dumps(sorted(login_plugins)).encode() + b"\n", mode=0o600)
    if failures:
        findings = [failure.finding.as_json() for failure in failures]
        host.write(file, json.dumps(findings, indent=1).encode() + b"\n", mode=0o600)
    elif host.info(file) is not None:
        host.remove(file)
