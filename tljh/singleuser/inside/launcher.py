"""The program that starts a user's server without the configuration and packages of the home.

It is copied to where the user environment's Python can read it, and is run with `-s`. JupyterHub
then ignores all of the home, also kernels and prebuilt extensions. These run no code in the server.
So this program makes them available again.
"""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

SHARED_FOLDERS = Path("/srv/shared")

# Modules, and the directory of the home that each may search.
ALLOWED_IN_HOME = (
    ("jupyter_client.kernelspec", "kernels"),
    ("jupyterlab_server.config", "labextensions"),
)


def search_home(paths: Any) -> None:
    """Make jupyter_core (`paths`) search the user's home for kernels and extensions."""
    home = paths.jupyter_data_dir()
    for name, directory in ALLOWED_IN_HOME:
        with contextlib.suppress(ImportError):
            module = import_module(name)
            module.jupyter_path = _prepend_home(home, directory, paths)  # type: ignore[attr-defined]


def _prepend_home(home: str, directory: str, paths: Any) -> Any:
    def jupyter_path(*parts: str) -> list[str]:
        # JupyterHub removes the home from the answer later, when it configures the server. So the
        # answer is computed at each call.
        shared = list(paths.jupyter_path(*parts))
        in_home = str(Path(home, *parts))
        if parts[:1] == (directory,) and in_home not in shared:
            return [in_home, *shared]
        return shared

    return jupyter_path


def link_shared_folders(home: Path, shared: Path = SHARED_FOLDERS) -> None:
    """Link the shared folders that the user may write to in the home; remove broken links.

    Runs as the user. A file or directory of that name in the home stays.
    """
    for link in home.iterdir():
        if link.is_symlink() and link.readlink().parent == shared and not link.exists():
            link.unlink()
    for folder in shared.iterdir() if shared.is_dir() else ():
        link = home / folder.name
        if os.access(folder, os.W_OK | os.X_OK) and not os.path.lexists(link):
            link.symlink_to(folder)


def main() -> None:
    with contextlib.suppress(OSError):
        link_shared_folders(Path.home())
    os.environ["JUPYTERHUB_DISABLE_USER_CONFIG"] = "1"
    search_home(import_module("jupyter_core.paths"))
    # kernel_deaths.py is next to this file. It explains a killed kernel in the notebook; the server
    # starts without it, too.
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import_module("kernel_deaths").install(sys.argv)
    import_module("jupyterhub.singleuser").main()


if __name__ == "__main__":
    main()
