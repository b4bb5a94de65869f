from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tljh.base.errors import TljhError
from tljh.base.progress import SilentProgress
from tljh.engine.sudoers import Sudoers
from tljh.host.fake import FakeHost
from tljh.host.interface import Result
from tljh.host.real import RealReader
from tljh.operations.installation import SUDOERS

PLACE = Path("/etc/sudoers.d/jupyterhub-admins")
RULES = Sudoers(PLACE, SUDOERS.encode())


def test_rules_are_written_after_visudo_accepted_them():
    host = FakeHost()
    RULES.apply(host, SilentProgress())
    info = host.info(PLACE)
    assert info and (info.mode, info.owner, info.group) == (0o440, "root", "root")
    assert host.effects[0] == "run visudo --check --file=-"


def test_rules_that_visudo_refuses_are_not_written():
    host = FakeHost()
    host.answers["visudo"] = Result(1, "", "stdin:1:9: syntax error")
    with pytest.raises(TljhError, match="syntax error"):
        RULES.apply(host, SilentProgress())
    assert host.info(PLACE) is None


@pytest.mark.skipif(shutil.which("visudo") is None, reason="sudo is not installed")
@pytest.mark.parametrize(("rules", "is_accepted"), [(SUDOERS, True), (SUDOERS + "%x ALL\n", False)])
def test_visudo_itself_distinguishes_good_rules_from_bad_ones(rules, is_accepted):
    check = RealReader().query(["visudo", "--check", "--file=-"], stdin=rules)
    assert check.ok is is_accepted
