"""The user environment: a conda environment that all users share, and conda itself.

The functions here are TLJH's, which its plugins import.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

PIP_TIMEOUT_S = 1800


def ensure_pip_packages(
    prefix: str | os.PathLike[str], packages: Sequence[str], upgrade: bool = False
) -> None:
    """Install packages with the pip of a conda environment.

    Raises TljhError if pip fails.
    """
    _run_pip(prefix, packages, upgrade)


def ensure_pip_requirements(
    prefix: str | os.PathLike[str], requirements_path: str, upgrade: bool = False
) -> None:
    """Install what a file or URL of requirements lists; otherwise like `ensure_pip_packages`."""
    _run_pip(prefix, ["-r", requirements_path], upgrade)


def _run_pip(prefix: str | os.PathLike[str], arguments: Sequence[str], upgrade: bool) -> None:
    from pathlib import Path

    from tljh.base.errors import TljhError
    from tljh.host.real import RealHost

    options = ["--upgrade"] if upgrade else []
    command = [str(Path(prefix, "bin", "python")), "-m", "pip", "install", *options, *arguments]
    result = RealHost().run(command, timeout_s=PIP_TIMEOUT_S)
    if not result.ok:
        raise TljhError(
            f"pip could not install {' '.join(arguments)}", why=(result.err or result.out).strip()
        )


def ensure_conda_packages(
    prefix: str | os.PathLike[str],
    packages: Sequence[str],
    channels: Sequence[str] = (),
    force_reinstall: bool = False,
) -> None:
    """Raise TljhError: conda packages of a plugin are planned, from what its hook returns."""
    from tljh.base.errors import TljhError

    raise TljhError(
        f"a plugin cannot install conda packages while it runs: {', '.join(packages)}",
        fix="return them from its hook tljh_extra_user_conda_packages; "
        "or, as an admin: sudo tljh env install PACKAGE",
    )


def fix_permissions(prefix: str | os.PathLike[str]) -> None:
    """Do nothing: a change of the user environment leaves it readable for all by itself."""
