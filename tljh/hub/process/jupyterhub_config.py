"""What JupyterHub loads: the applied configuration, then plugins, then admins' drop-ins.

Everything comes from the directory that `TLJH_APPLIED` names (default: state/applied), so a
candidate can be tried before it is put in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tljh.hub.process.load_config import apply_to

if TYPE_CHECKING:
    c: Any

apply_to(c)  # noqa: F821 - JupyterHub gives its configuration files a `c`
