"""The hook `tljh_server_starting` of plugins: called right before a user's server starts."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from tljh.base.errors import Finding
from tljh.base.paths import get_paths
from tljh.hub.process.load_config import load_hub_plugins, read_selection
from tljh.plugins.guard import PluginError
from tljh.plugins.manager import call_implementation

HOOK = "tljh_server_starting"
# The user waits for it.
TIMEOUT_S = 20.0
# What plugins change, and what is restored where one fails.
CHANGED = ("environment", "cmd", "args", "mem_limit", "cpu_limit", "unit_extra_properties")


def call_starting_hooks(spawner: Any) -> list[Finding]:
    """Let each plugin change the spawner; return the mistakes of those that failed.

    Their changes are dropped. Raises PluginError where a required plugin fails.
    """
    findings = []
    required = read_selection(get_paths()).required
    for implementation in getattr(load_hub_plugins().hook, HOOK).get_hookimpls():
        before = {name: deepcopy(getattr(spawner, name, None)) for name in CHANGED}
        try:
            call_implementation(implementation, HOOK, TIMEOUT_S, spawner=spawner)
        except PluginError as error:
            if error.plugin in required:
                raise
            findings.append(error.finding)
            for name, value in before.items():
                if getattr(spawner, name, None) != value:
                    setattr(spawner, name, value)
    return findings
