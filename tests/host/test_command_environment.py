from __future__ import annotations

import os

from tljh.host.command_environment import SYSTEM_DIRECTORIES, build_command_environment
from tljh.host.real import RealReader


def test_a_path_without_sbin_gets_it_and_keeps_its_order(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    path = build_command_environment()["PATH"].split(os.pathsep)
    assert path[:2] == ["/usr/bin", "/bin"]
    assert set(SYSTEM_DIRECTORIES) <= set(path)


def test_a_program_of_sbin_is_found_from_cron(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert RealReader().query(["groupadd", "--help"]).code != 127


def test_variables_of_one_command_are_added():
    assert build_command_environment({"TLJH_APPLIED": "/x"})["TLJH_APPLIED"] == "/x"
