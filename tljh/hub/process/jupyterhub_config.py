"""The configuration file that JupyterHub loads: applied configuration, plugins, drop-ins.

The directory of the applied configuration is in `TLJH_APPLIED` (default: state/applied). So a
candidate in another directory can be tried before it is applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tljh.hub.process.load_config import apply_to
from tljh.hub.process.plugin_report import report_failures

if TYPE_CHECKING:
    c: Any

loaded = apply_to(c)  # noqa: F821 - JupyterHub runs its configuration files with a global `c`
report_failures(loaded.failures, loaded.login_plugins)
