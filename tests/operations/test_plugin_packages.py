"""Packages of plugins that cannot be installed are named with their line in config.yaml."""

from __future__ import annotations

import json
from pathlib import Path

from tljh.base.errors import TljhError
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.base.paths import Paths
from tljh.host.fake import FakeHost
from tljh.operations.plugin_packages import find_left_out_packages, name_failed_packages

PATHS = Paths()
ENVIRONMENT = Path("/opt/tljh/versions/hub-1")
CONFIGURATION = b"""\
plugins:
  packages:
    - tljh-good
    - /srv/tljh-new
"""
WHY = "Because tljh-new==1 depends on tljh>=99, we can conclude that tljh-new cannot be used."


def test_the_package_that_the_installer_names_has_its_line():
    what = "these packages cannot be added to the hub environment: tljh-good, /srv/tljh-new"
    error = name_failed_packages(TljhError(what, why=WHY), CONFIGURATION, PATHS)
    (finding,) = error.findings
    assert finding.what == "/srv/tljh-new cannot be installed into the hub environment"
    assert str(finding.where) == f"{PATHS.config_file}, line 4, column 7"
    assert "tljh>=99" in (finding.why or "")
    assert finding.fix
    assert finding.fix.endswith("sudo tljh plugin remove /srv/tljh-new")


def test_an_error_that_names_no_package_stays_as_it_is():
    error = TljhError("the disk is full", why="no space left")
    assert name_failed_packages(error, CONFIGURATION, PATHS).findings == error.findings


def test_a_package_that_a_rebuild_left_out_is_reported():
    host = FakeHost()
    file = HubEnvironmentFiles(ENVIRONMENT).left_out
    for directory in reversed(file.parents):
        host.mkdir(directory, mode=0o755)
    assert find_left_out_packages(host, PATHS, ENVIRONMENT, CONFIGURATION) == []
    host.write(file, json.dumps({"tljh-good": WHY}).encode(), mode=0o644)
    (finding,) = find_left_out_packages(host, PATHS, ENVIRONMENT, CONFIGURATION)
    assert finding.where
    assert finding.where.line == 3
