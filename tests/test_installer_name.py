"""`python3 -m tljh.installer`, the command of TLJH's guides."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tljh.base.path_groups import HubEnvironmentFiles


def run(environment: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the module as that of a hub environment."""
    code = f"import sys; sys.prefix = {str(environment)!r}; from tljh.installer import main; "
    return subprocess.run(
        [sys.executable, "-c", code + "sys.exit(main())", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_runs_the_bootstrap_that_built_the_environment_with_the_same_options(tmp_path):
    environment = tmp_path / "versions" / "hub-1"
    bootstrap = HubEnvironmentFiles(environment).bootstrap
    bootstrap.parent.mkdir(parents=True)
    bootstrap.write_text(
        "import os, sys\nprint(*sys.argv[1:], os.environ['TLJH_INSTALL_PREFIX'])\nsys.exit(3)\n"
    )
    ended = run(environment, "--admin", "alice")
    assert (ended.returncode, ended.stdout) == (3, f"--admin alice {tmp_path}\n")


def test_without_a_bootstrap_it_says_what_to_type(tmp_path):
    ended = run(tmp_path)
    assert ended.returncode == 1
    assert "sudo python3 bootstrap.py --admin NAME" in ended.stderr
