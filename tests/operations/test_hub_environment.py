"""When the hub's environment is rebuilt, and with what."""

from __future__ import annotations

import json

from tljh.base.paths import Paths
from tljh.host.fake import FakeHost
from tljh.operations.hub_environment import find_rebuild
from tljh.settings.load import load

PATHS = Paths()


def rebuild(text: str, from_plugins: list[str], built_with: list[str]):
    host = FakeHost()
    for directory in (PATHS.prefix, PATHS.hub, *reversed(PATHS.hub_files.stamp.parents)):
        if host.info(directory) is None:
            host.mkdir(directory, mode=0o755)
    stamp = json.dumps({"wanted": {"specs": built_with}}).encode()
    host.write(PATHS.hub_files.stamp, stamp, mode=0o644)
    return find_rebuild(host, PATHS, load(text.encode()), from_plugins)


def test_an_environment_that_was_built_with_the_packages_asked_for_stays():
    assert rebuild("plugins: {packages: [tljh-a]}\n", ["there"], ["there", "tljh-a"]) is None


def test_a_plugin_that_is_removed_removes_the_packages_it_asked_for():
    needed = rebuild("", ["there"], ["there", "tljh-a"])
    assert needed.specs == ()
    assert str(needed) == "the hub environment is rebuilt without tljh-a"
