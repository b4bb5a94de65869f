"""What plugins write in their own actions is recorded, and goes with the plugin."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest

from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.hooks import hookimpl
from tljh.host.real import RealReader
from tljh.operations import plugins
from tljh.plugins import written_files
from tljh.plugins.written_files import read_written, record_writes
from tljh.testing import FakeHub


def test_files_and_directories_that_are_made_are_recorded_and_those_that_exist_are_not(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(written_files, "_NOT_RECORDED", ())
    paths = Paths(tmp_path / "tljh")
    paths.hub_drop_ins.mkdir(parents=True)
    old = tmp_path / "old"
    old.write_text("old")
    with record_writes(RealReader(), paths) as recorded:
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "file").write_text("new")
        (tmp_path / "link").symlink_to("new")
        (tmp_path / "partial").write_text("x")
        (tmp_path / "partial").rename(tmp_path / "final")
        old.write_text("changed")
        old.read_text()
        os.system(f"echo 1 > {paths.hub_drop_ins}/by-a-program.py")
    (written,) = recorded
    names = ("final", "link", "new/file", "tljh/config/jupyterhub_config.d/by-a-program.py")
    assert list(written.files) == [str(tmp_path / name) for name in sorted(names)]
    assert written.directories == (str(tmp_path / "new"),)
    (tmp_path / "later").write_text("x")
    assert str(tmp_path / "later") not in written.files


@pytest.fixture
def hub(monkeypatch) -> FakeHub:
    """Return a hub with a plugin whose actions write drop-ins and a section."""
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])
    module = ModuleType("tljh_course")
    hub = FakeHub(course=module)
    module.tljh_post_install = hookimpl(lambda: write(hub))  # type: ignore[attr-defined]
    module.tljh_config_post_install = hookimpl(  # type: ignore[attr-defined]
        lambda config: config.setdefault("course", {"size": 3})
    )
    module.tljh_extra_apt_packages = hookimpl(lambda: ["sl"])  # type: ignore[attr-defined]
    hub = FakeHub(course=module)
    hub.install()
    hub.reload(
        (hub.host.read(hub.paths.config_file) or b"").decode() + "  packages: [tljh-course]\n"
    )
    return hub


def drop_in(hub: FakeHub) -> Path:
    return hub.paths.hub_drop_ins / "course.py"


def write(hub: FakeHub) -> None:
    hub.host.write(drop_in(hub), b"c.Spawner.debug = True\n", mode=0o644)


def test_drop_ins_sections_and_names_of_packages_go_with_the_plugin(hub):
    write_again = read_written(hub.host, hub.paths)
    assert list(write_again["course"].files) == [str(drop_in(hub))]
    applied = hub.paths.applied.drop_ins / "course.py"
    assert hub.host.read(applied)
    edited = plugins.remove(hub.host, hub.paths, "course", SilentProgress())
    assert "course" not in hub.configuration
    assert hub.configuration["plugins"]["sections"] == []
    assert edited.number
    hub.remove("course")
    assert hub.host.read(drop_in(hub)) is None
    assert hub.host.read(applied) is None
    assert "sudo apt-get remove sl" in " ".join(hub.plan.notes)
    assert hub.host.info(hub.paths.plugin_writes) is None
    hub.reload()
    assert not hub.plan


def test_a_file_that_was_edited_since_stays_and_is_named(hub):
    hub.host.write(drop_in(hub), b"c.Spawner.debug = False\n", mode=0o644)
    hub.remove("course")
    assert hub.host.read(drop_in(hub)) == b"c.Spawner.debug = False\n"
    assert "was edited since, so it stays" in " ".join(hub.plan.notes)
