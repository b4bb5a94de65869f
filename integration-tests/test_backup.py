"""Backups by restic: made, listed, checked, taken from, and restored onto another machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from machine import Machine
from machine.image import CHECKOUT
from machine.install import bootstrap_command, channel_mount, local_channel
from session import HubUser, import_users
from waiting import wait_until

PASSWORD = "a long password 1"
PLACE = "/mnt/backup"

# Owner by name, mode, target and content of all files: what a user would miss.
TREE = """
import grp, hashlib, os, pwd, sys
def name(get, number):
    try: return get(number)[0]
    except KeyError: return str(number)
for root in sys.argv[1:]:
    for directory, names, files in os.walk(root):
        names[:] = [each for each in names if each not in (".cache", "__pycache__")]
        for each in names + files:
            path = os.path.join(directory, each); info = os.lstat(path); content = ""
            if os.path.islink(path): content = os.readlink(path)
            elif os.path.isfile(path):
                content = hashlib.sha256(open(path, "rb").read()).hexdigest()[:12]
            print(path, oct(info.st_mode), name(pwd.getpwuid, info.st_uid),
                  name(grp.getgrgid, info.st_gid), content)
"""


@dataclass
class BackedUp:
    """A hub with users and a backup, the directory that holds it, and its key file's text."""

    machine: Machine
    directory: Path
    key: str
    options: list[str]

    @property
    def url(self) -> str:
        return f"http://{self.machine.address()}"


def read_tree(machine: Machine, *roots: str) -> list[str]:
    command = "python3 - " + " ".join(roots)
    return sorted(machine.run(command, input=TREE, timeout_s=300).stdout.splitlines())


@pytest.fixture(scope="module")
def backed_up(installed_snapshot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackedUp]:
    image, channel = installed_snapshot
    directory = tmp_path_factory.mktemp("backup")
    options = [*channel, f"--volume={directory}:{PLACE}"]
    with Machine.boot(image, options=options) as machine:
        wait_until(lambda: machine.run("tljh status", check=False).code == 0, "a hub that is fine")
        import_users(machine, ["ann", "bob"], PASSWORD)
        machine.run("tljh share add course --group learners --user ann", check=False)
        url = f"http://{machine.address()}"
        ann = HubUser(url, "ann")
        ann.login(PASSWORD)
        ann.start_server()
        ann.execute(
            "open('work.txt', 'w').write('my thesis'); import os; os.mkdir('a'); "
            "open('a/b [1]*.txt', 'w').write('odd name'); os.symlink('/etc/shadow', 'link')"
        )
        bob = HubUser(url, "bob")
        bob.login(PASSWORD)
        bob.start_server()
        machine.run("tljh-config set limits.memory 1G && tljh-config reload")
        machine.run("/opt/tljh/user/bin/python -m compileall -q /opt/tljh/user/lib || true")
        machine.run("echo mine > /opt/tljh/user/share/by-hand.txt")
        machine.run(f"tljh backup setup {PLACE}/hub")
        machine.run("tljh backup run", timeout_s=300)
        key = machine.run("tljh backup key").stdout
        yield BackedUp(machine, directory, key, list(channel))


def test_a_backup_is_listed_checked_and_known_to_status(backed_up: BackedUp):
    machine = backed_up.machine
    assert len(json.loads(machine.run("tljh backup list --json").stdout)["backups"]) == 1
    checked = machine.run("tljh backup check --restore", timeout_s=300).stdout
    assert "can be restored" in checked
    assert "3 accounts" in checked or "2 accounts" in checked
    # Nothing in the repository can be read without the key, and no copy stays on the machine.
    assert machine.run(f"grep -rl 'my thesis' {PLACE}", check=False).stdout == ""
    assert machine.run("ls /opt/tljh/state/backup").stdout.split() == [
        "excluded", "included", "key", "last.json", "repository",
    ]  # fmt: skip
    assert "backup" not in machine.run("tljh status", check=False).stdout
    assert machine.run("systemctl is-active tljh-backup.timer").stdout.strip() == "active"


def test_a_repository_that_is_away_shows_in_status_and_costs_nothing_else(backed_up: BackedUp):
    machine = backed_up.machine
    machine.run(f"mv {PLACE}/hub {PLACE}/away")
    try:
        failed = machine.run("tljh backup run", check=False)
        assert failed.code == 1
        assert "connect the disk or the server" in failed.stderr
        status = machine.run("tljh status", check=False)
        assert status.code == 2
        assert "the last backup failed" in status.stdout
    finally:
        machine.run(f"mv {PLACE}/away {PLACE}/hub")
    machine.run("tljh backup run", timeout_s=300)
    assert "backup" not in machine.run("tljh status", check=False).stdout


def test_a_user_gets_a_file_back_and_nothing_is_overwritten(backed_up: BackedUp):
    machine = backed_up.machine
    machine.run("echo newer > /home/jupyter-ann/work.txt")
    done = json.loads(machine.run("tljh restore --user ann --path work.txt --json").stdout)
    restored = f"{done['path']}/work.txt"
    assert machine.run(f"cat {restored}").stdout == "my thesis"
    owner = machine.run(f"stat -c %U:%a {done['path']} {restored}").stdout.split()
    assert [each.partition(":")[0] for each in owner] == ["jupyter-ann"] * 2
    assert machine.run("cat /home/jupyter-ann/work.txt").stdout == "newer\n"
    outside = machine.run("tljh restore --user ann --path ../../etc/shadow", check=False)
    assert outside.code == 2
    machine.run(f"mv {restored} /home/jupyter-ann/work.txt; rmdir {done['path']}")


def test_configuration_and_database_go_back_together(backed_up: BackedUp):
    machine = backed_up.machine
    machine.run("tljh-config set limits.memory 2G && tljh user add later && tljh-config reload")
    plan = machine.run("tljh restore --config --database --plan").stdout
    assert "limits.memory" in plan and "as in backup" in plan
    machine.run("tljh restore --config --database --yes", timeout_s=200)
    assert machine.run("tljh-config get limits.memory").stdout.strip() == "1G"
    assert "later" not in machine.run("tljh user list").stdout
    HubUser(backed_up.url, "ann").login(PASSWORD)


def test_a_fresh_machine_gets_the_whole_hub_back(backed_up: BackedUp, release: str):
    restore_elsewhere(backed_up, release)


@pytest.mark.long
@pytest.mark.parametrize("another_release", ["debian13", "ubuntu24.04"])
def test_a_machine_of_another_release_gets_the_whole_hub_back(
    backed_up: BackedUp, another_release: str
):
    restore_elsewhere(backed_up, another_release)


def restore_elsewhere(backed_up: BackedUp, release: str) -> None:
    """Restore the newest backup onto a fresh machine, and compare all with the first machine."""
    old = backed_up.machine
    trees = ("/home/jupyter-ann", "/home/jupyter-bob", "/opt/tljh/user")
    before = read_tree(old, *trees)
    cookie = old.run("cat /opt/tljh/state/jupyterhub_cookie_secret").stdout
    session = HubUser(backed_up.url, "ann")
    session.login(PASSWORD)
    old.run("tljh backup run", timeout_s=300)
    options = [*channel_mount(local_channel(release)), f"--volume={backed_up.directory}:{PLACE}"]
    with Machine.boot(release, options=options) as machine:
        # The uid of a user there is another account's here.
        uid = old.run("id -u jupyter-ann").stdout.strip()
        machine.run(f"useradd --uid {uid} local")
        machine.copy_checkout(CHECKOUT)
        machine.run("tee /root/hub.key", input=backed_up.key)
        restore = bootstrap_command("--restore", f"{PLACE}/hub", "--restore-key-file")
        wrong = machine.run(
            f"echo password = x > /root/wrong; {restore} /root/wrong", check=False, timeout_s=300
        )
        assert wrong.code == 1
        assert "the repository has another password" in wrong.stderr
        assert machine.run("ls /home").stdout.split() == []
        machine.run(f"{restore} /root/hub.key", timeout_s=600)
        assert read_tree(machine, *trees) == before
        assert machine.run("cat /opt/tljh/state/jupyterhub_cookie_secret").stdout == cookie
        assert machine.run("id -u jupyter-ann").stdout.strip() != uid
        assert machine.run("id -u jupyter-bob").stdout == old.run("id -u jupyter-bob").stdout
        url = f"http://{machine.address()}"
        ann = HubUser(url, "ann")
        ann.login(PASSWORD)
        ann.start_server()
        assert ann.execute("print(open('work.txt').read())").strip() == "my thesis"
        assert machine.run("tljh-config get limits.memory").stdout.strip() == "1G"
        assert machine.run("grep -c 'password =' /opt/tljh/installer.log", check=False).stdout in (
            "0\n", "",
        )  # fmt: skip
        again = machine.run(f"{restore} /root/hub.key", check=False, timeout_s=300)
        assert again.code == 1
        assert "there is a hub at /opt/tljh already" in again.stderr
