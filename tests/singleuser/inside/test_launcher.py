"""The program that starts a server; that configuration stays out is tested in a machine."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from tljh.singleuser.inside.launcher import link_shared_folders, search_home

PATHS = SimpleNamespace(
    jupyter_data_dir=lambda: "/home/ann/.local/share/jupyter",
    # As JupyterHub leaves it: without the home.
    jupyter_path=lambda *parts: ["/".join(("/opt/tljh/user/share/jupyter", *parts))],
)


@pytest.fixture
def kernelspec(monkeypatch) -> ModuleType:
    module = ModuleType("jupyter_client.kernelspec")
    monkeypatch.setitem(sys.modules, "jupyter_client", ModuleType("jupyter_client"))
    monkeypatch.setitem(sys.modules, "jupyter_client.kernelspec", module)
    return module


def test_kernels_of_the_own_home_come_first(kernelspec):
    search_home(PATHS)
    assert kernelspec.jupyter_path("kernels") == [
        "/home/ann/.local/share/jupyter/kernels",
        "/opt/tljh/user/share/jupyter/kernels",
    ]


def test_nothing_else_of_the_home_is_found(kernelspec):
    search_home(PATHS)
    assert kernelspec.jupyter_path() == ["/opt/tljh/user/share/jupyter"]
    assert kernelspec.jupyter_path("templates") == ["/opt/tljh/user/share/jupyter/templates"]


def test_an_environment_without_jupyterlab_starts_all_the_same(kernelspec, monkeypatch):
    monkeypatch.setitem(sys.modules, "jupyterlab_server.config", None)
    search_home(PATHS)
    assert len(kernelspec.jupyter_path("kernels")) == 2


def test_shared_folders_are_linked_in_the_home_when_a_server_starts(tmp_path):
    home, shared = tmp_path / "home", tmp_path / "shared"
    for path in (home, shared / "course", shared / "notes"):
        path.mkdir(parents=True)
    (home / "notes").write_text("a file of the user")
    (home / "gone").symlink_to(shared / "gone")
    link_shared_folders(home, shared)
    assert (home / "course").readlink() == shared / "course"
    assert (home / "notes").read_text() == "a file of the user"
    assert not (home / "gone").is_symlink()
