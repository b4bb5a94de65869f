"""Starts somebody's server without the configuration and packages of the own home.

Copied to where the shared environment's Python can read it, and run by that with `-s`. JupyterHub
leaves out all of the home, kernels and prebuilt extensions included; those run nothing in the
server, and are put back here.
"""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

# Who asks for what may come from the own home.
OPEN = (("jupyter_client.kernelspec", "kernels"), ("jupyterlab_server.config", "labextensions"))


def put_back(paths: Any) -> None:
    """Have kernels and looks of the own home found again; `paths` is jupyter_core's module."""
    own = paths.jupyter_data_dir()
    for module, wanted in OPEN:
        with contextlib.suppress(ImportError):
            found = import_module(module)
            found.jupyter_path = _with_own(own, wanted, paths)  # type: ignore[attr-defined]


def _with_own(own: str, wanted: str, paths: Any) -> Any:
    def jupyter_path(*parts: str) -> list[str]:
        # JupyterHub takes the home out of what this answers, when the server is configured.
        shared = list(paths.jupyter_path(*parts))
        mine = str(Path(own, *parts))
        return [mine, *shared] if parts[:1] == (wanted,) and mine not in shared else shared

    return jupyter_path


def main() -> None:
    os.environ["JUPYTERHUB_DISABLE_USER_CONFIG"] = "1"
    put_back(import_module("jupyter_core.paths"))
    # Lies beside this; says in the notebook why a kernel was ended. Nice to have.
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import_module("kernel_deaths").install(sys.argv)
    import_module("jupyterhub.singleuser").main()


if __name__ == "__main__":
    main()
