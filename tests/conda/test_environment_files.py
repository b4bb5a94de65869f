"""Files of tljh in the user environment: activation in real shells, and defaults of JupyterLab."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.conda.environment_files import make_environment_files
from tljh.host.fake import FakeHost


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Return a user environment with the activation script and a package's own script."""
    paths = Paths(tmp_path / "a prefix")
    scripts = paths.user / "etc" / "conda" / "activate.d"
    scripts.mkdir(parents=True)
    (scripts / "gdal.sh").write_text("export GDAL_DATA=/share/gdal\n")
    for file in make_environment_files(paths):
        file.path.parent.mkdir(parents=True, exist_ok=True)
        file.path.write_bytes(file.data)
    return paths.user


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_activate_puts_the_environment_first_and_deactivate_ends_it(prefix, shell):
    program = shutil.which(shell)
    assert program
    script = """
        set -u
        . "$1/bin/activate"
        . "$1/bin/activate"
        echo "$PATH|$CONDA_PREFIX|$GDAL_DATA"
        deactivate
        echo "$PATH|${CONDA_PREFIX-none}"
    """
    result = subprocess.run(
        [program, "-c", script, "-", str(prefix)],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.splitlines() == [
        f"{prefix}/bin:/usr/bin:/bin|{prefix}|/share/gdal",
        "/usr/bin:/bin|none",
    ]


def test_a_script_of_conda_stays():
    host, paths = FakeHost(), Paths()
    activation, *_others = make_environment_files(paths)
    activation.apply(host, SilentProgress())
    assert activation.difference(host) is None
    host.write(paths.activation_script, b"#!/bin/sh\n# conda's\n", mode=0o755)
    assert activation.difference(host) is None
