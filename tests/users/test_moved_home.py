"""A home moves as a whole or not at all, whenever the move is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.engine.apply import ChangeContext, apply, recover
from tljh.engine.journal import Journal
from tljh.engine.plan import plan
from tljh.host.accounts import Account, ensure_account, ensure_server_account
from tljh.host.fake import FakeHost, Killed
from tljh.host.interface import Result
from tljh.users.moved_home import MovedHome

PATHS = Paths()
OLD, TARGET = Path("/home/jupyter-ann"), Path("/data/home")
NEW = TARGET / "jupyter-ann"
ANN = Account("jupyter-ann", "ann")


def make_host() -> FakeHost:
    host = FakeHost()
    for directory in ("/home", "/run", "/data", "/data/home", "/etc", "/opt", "/opt/tljh"):
        host.mkdir(Path(directory), mode=0o755)
    host.mkdir(PATHS.state_dir, mode=0o700)
    ensure_account(host, ANN)
    host.write(OLD / "work.txt", b"hers", mode=0o600, owner=ANN.name)
    return host


@pytest.fixture
def host() -> FakeHost:
    return make_host()


def move(host: FakeHost) -> None:
    journal = Journal(PATHS.journal_dir)
    recover(host, journal, SilentProgress())
    context = ChangeContext("root", "homes move", {}, is_state=False)
    steps = plan([MovedHome(ANN.name, OLD, TARGET)], host)
    apply(steps, host, journal, context, progress=SilentProgress(), health=lambda: None)


def kinds(host: FakeHost) -> dict[str, str]:
    paths = (OLD, NEW, OLD.parent / ".moved/jupyter-ann", TARGET / ".moving/jupyter-ann")
    infos = {str(path): host.info(path) for path in paths}
    return {path: info.kind for path, info in infos.items() if info is not None}


MOVED = {str(OLD): "symlink", str(NEW): "directory", "/home/.moved/jupyter-ann": "directory"}


def test_the_account_has_the_new_home_and_the_old_one_is_kept_behind_a_link(host):
    move(host)
    user = host.user(ANN.name)
    assert user is not None and user.home == str(NEW)
    assert kinds(host) == MOVED
    assert host.readlink(OLD) == str(NEW)
    assert host.read(Path("/home/.moved/jupyter-ann/work.txt")) == b"hers"
    assert not plan([MovedHome(ANN.name, OLD, TARGET)], host)


def test_killed_before_any_effect_the_next_run_has_one_whole_home():
    trial = 0
    while True:
        host = make_host()
        host.die_before = len(host.effects) + trial
        try:
            move(host)
        except Killed:
            pass
        else:
            break
        host.die_before = None
        user = host.user(ANN.name)
        was_switched = user is not None and user.home == str(NEW)
        if was_switched:
            # Her server started meanwhile, and she worked.
            host.write(NEW / "since.txt", b"new", mode=0o600, owner=ANN.name)
        recover(host, Journal(PATHS.journal_dir), SilentProgress())
        user = host.user(ANN.name)
        assert user is not None
        home = host.info(Path(user.home))
        assert home is not None and home.kind == "directory"
        assert kinds(host) == (MOVED if was_switched else {str(OLD): "directory"})
        if was_switched:
            assert host.read(NEW / "since.txt") == b"new"
        move(host)
        assert kinds(host) == MOVED
        trial += 1
    assert trial > 8


def test_a_copy_that_differs_leaves_the_home_as_it_is(host):
    host.answers["systemd-run"] = Result(1, "", "tar: ./work.txt: Contents differ")
    with pytest.raises(TljhError, match="Contents differ"):
        move(host)
    assert kinds(host) == {str(OLD): "directory"}
    user = host.user(ANN.name)
    assert user is not None and user.home == str(OLD)


def test_back_again_the_link_of_the_first_move_is_replaced(host):
    move(host)
    journal, context = Journal(PATHS.journal_dir), ChangeContext("root", "", {}, is_state=False)
    back = plan([MovedHome(ANN.name, NEW, OLD.parent)], host)
    host.answers["systemd-run"] = Result(1, "", "no space left")
    with pytest.raises(TljhError):
        apply(back, host, journal, context, progress=SilentProgress(), health=lambda: None)
    assert kinds(host) == MOVED
    host.answers.clear()
    apply(back, host, journal, context, progress=SilentProgress(), health=lambda: None)
    info = host.info(OLD)
    assert info is not None and info.kind == "directory"
    assert host.readlink(NEW) == str(OLD)


def test_a_second_move_leaves_no_chain_of_links(host):
    move(host)
    host.mkdir(Path("/srv"), mode=0o755)
    journal, context = Journal(PATHS.journal_dir), ChangeContext("root", "", {}, is_state=False)
    steps = plan([MovedHome(ANN.name, NEW, Path("/srv"))], host)
    apply(steps, host, journal, context, progress=SilentProgress(), health=lambda: None)
    for link in (OLD, NEW):
        assert host.readlink(link) == "/srv/jupyter-ann"


def test_a_server_that_starts_meanwhile_waits_and_says_why(host):
    host.mkdir(Paths.moving_homes, mode=0o700)
    host.write(Paths.moving_homes / ANN.name, b"", mode=0o600)
    is_refused = pytest.raises(TljhError, match="being moved to another disk")
    with host.lock(Paths.moving_homes / ANN.name, timeout_s=1), is_refused:
        ensure_server_account(host, ANN)
    assert ensure_server_account(host, ANN) is False


def test_without_the_disk_no_account_is_made_and_no_home(host):
    marker = TARGET / ".tljh-homes"
    account = Account("jupyter-bob", "bob", home_root=TARGET, home_marker=marker)
    with pytest.raises(TljhError, match="is not there"):
        ensure_account(host, account)
    assert host.user("jupyter-bob") is None
    host.write(marker, b"", mode=0o600)
    assert ensure_account(host, account)
