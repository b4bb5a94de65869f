"""A plugin to start from: a package with hooks, and tests that run on a machine in memory."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from tljh.base.errors import Exit, TljhError
from tljh.host.interface import Host

PYPROJECT = """\
[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "tljh-{package}"
version = "0.1"
description = "A plugin for tljh"
requires-python = ">=3.10"

[project.entry-points.tljh]
{module} = "tljh_{module}"

[tool.setuptools]
py-modules = ["tljh_{module}"]
"""

MODULE = '''\
"""A plugin for tljh. All hooks and their arguments: docs/guides/plugins.md of tljh."""

from tljh.hooks import hookimpl


@hookimpl
def tljh_extra_user_conda_packages():
    """Return packages for all users' notebooks."""
    return ["ipywidgets"]


@hookimpl
def tljh_custom_jupyterhub_config(c):
    """Change the hub's configuration; this runs at each start of the hub."""
    c.Spawner.environment["{variable}"] = "1"
'''

TESTS = '''\
"""Tests of the plugin on a machine in memory: nothing of this computer is changed."""

import unittest

import tljh_{module}
from tljh.testing import FakeHub


class InstalledPlugin(unittest.TestCase):
    def setUp(self):
        self.hub = FakeHub({module}=tljh_{module})
        self.hub.install()

    def test_it_works_without_a_warning(self):
        self.assertEqual(self.hub.warnings, [])

    def test_it_brings_its_packages(self):
        self.assertIn("ipywidgets", self.hub.packages.conda_packages)

    def test_users_servers_get_its_variable(self):
        c = self.hub.load_hub_configuration()
        self.assertEqual(c.Spawner.environment["{variable}"], "1")


if __name__ == "__main__":
    unittest.main()
'''

README = """\
# tljh-{package}

A plugin for tljh.

    python3 -m unittest                       # with a Python that has tljh, such as the hub's
    sudo tljh plugin add {directory}
    sudo tljh plugin remove {module}
"""


def write_skeleton(host: Host, name: str, parent: Path) -> Path:
    """Write the directory `tljh-NAME` of a new plugin, and return it.

    Raises TljhError for a name that cannot be a module's, and for a directory that exists.
    """
    name = re.sub(r"^tljh[-_]", "", name)
    if not re.match(r"^[a-z][a-z0-9]*([-_][a-z0-9]+)*$", name):
        raise TljhError(
            f"{name!r} cannot be the name of a plugin",
            fix="choose lower-case letters, digits and dashes, such as my-course",
            exit_code=Exit.USAGE,
        )
    directory = parent / f"tljh-{name.replace('_', '-')}"
    if host.info(directory) is not None:
        raise TljhError(
            f"{directory} exists",
            fix=f"choose another name, or remove it: rm -r {quote(str(directory))}",
        )
    if host.info(parent) is None:
        raise TljhError(f"there is no directory {parent}", fix=f"mkdir {quote(str(parent))}")
    owner = pwd.getpwuid(os.geteuid())
    group = _get_group_name(owner.pw_gid)
    for path in (directory, directory / "tests"):
        host.mkdir(path, mode=0o755, owner=owner.pw_name, group=group)
    for file, text in format_skeleton(name, directory).items():
        data = text.encode()
        host.write(directory / file, data, mode=0o644, owner=owner.pw_name, group=group)
    return directory


def _get_group_name(gid: int) -> str:
    import grp

    return grp.getgrgid(gid).gr_name


def format_skeleton(name: str, directory: Path) -> Mapping[str, str]:
    """Return the files of a new plugin: text by path."""
    module = name.replace("-", "_")
    words = {
        "package": name.replace("_", "-"),
        "module": module,
        "variable": f"{module.upper()}_PLUGIN",
        "directory": directory,
    }
    return {
        "pyproject.toml": PYPROJECT.format(**words),
        f"tljh_{module}.py": MODULE.format(**words),
        "tests/__init__.py": "",
        f"tests/test_{module}.py": TESTS.format(**words),
        "README.md": README.format(**words),
    }
