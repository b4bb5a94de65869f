"""TLJH's helpers that plugins import: run a command, and the plugins of this hub environment."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pluggy

_log = logging.getLogger("tljh")


def run_subprocess(cmd: Sequence[str], *args: Any, **kwargs: Any) -> str:
    """Run a command and return its output, standard error included.

    Further arguments are those of `subprocess.run`. Raises CalledProcessError, with the output
    in the log, if the command fails.
    """
    options: Any = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **kwargs}
    result = subprocess.run(cmd, *args, **options)
    output = result.stdout if isinstance(result.stdout, str) else result.stdout.decode()
    if result.returncode:
        _log.error("%s failed with exit code %d:\n%s", cmd, result.returncode, output)
        raise subprocess.CalledProcessError(result.returncode, cmd, output)
    _log.debug("ran %s:\n%s", cmd, output)
    return output


def get_plugin_manager() -> pluggy.PluginManager:
    """Return the manager of the plugins that work; `manager.hook.NAME(...)` calls one hook."""
    from tljh.plugins.manager import load_installed_plugins

    return load_installed_plugins()
