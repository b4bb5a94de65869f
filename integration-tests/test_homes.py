"""The homes of all users move to another disk, while users work, and after a kill."""

from __future__ import annotations

import json

import pytest

from session import HubUser, import_users

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"
DISK = (
    "truncate -s 400M /srv/disk.img && mkfs.ext4 -q -m 0 /srv/disk.img && mkdir -p /data"
    " && mount -o loop /srv/disk.img /data && mkdir -p /data/home"
)
# What a home may have: an ACL, an attribute, hard links, holes, links, odd names, a mode.
CONTENT = """
cd /home/jupyter-ann
mkdir -p notebooks .config && echo 'hello' > notebooks/a.txt && ln notebooks/a.txt notebooks/b.txt
ln -s /home/jupyter-ann/notebooks/a.txt absolute && ln -s /etc/shadow stolen
truncate -s 2T sparse && mkfifo pipe && printf x > "$(printf 'new\\nline')"
chmod 640 notebooks/a.txt && setfacl -m u:daemon:r notebooks/a.txt
python3 -c 'import os; os.setxattr("notebooks/a.txt", "user.color", b"blue")'
touch -d 2001-01-01T00:00:00Z notebooks/a.txt
chown -R --no-dereference jupyter-ann: .
"""
DESCRIBE = """
cd "$1"
# The server removes files of its own there when it stops.
skip="( -path ./.local -o -path ./.ipython ) -prune -o"
find . $skip ! -type d -printf '%p %y %m %U %G %s %n %T@ %l\\n' | sort
find . $skip -type d -printf '%p %m %U %G %T@\\n' | sort
getfacl -pn notebooks/a.txt; stat -c %b sparse
python3 -c 'import os; print(os.getxattr("notebooks/a.txt", "user.color"))'
"""


@pytest.fixture(scope="module")
def hub(installed_shared):
    machine = installed_shared
    machine.url = f"http://{machine.address()}"
    machine.run("apt-get install -y acl >/dev/null")
    # As on a machine that is no container: what is mounted appears in units that run.
    machine.run("mount --make-rshared / && systemctl restart jupyterhub")
    import_users(machine, ["ann", "bob"], PASSWORD)
    machine.run("cat > /root/describe.sh", input=DESCRIBE)
    return machine


@pytest.fixture(scope="module")
def ann(hub) -> HubUser:
    user = HubUser(hub.url, "ann")
    user.login(PASSWORD)
    user.start_server()
    return user


def home_of(hub, account: str) -> str:
    return hub.run(f"getent passwd {account}").stdout.split(":")[5]


def test_places_that_cannot_hold_homes_are_refused_with_the_reason(hub, ann):
    for place, reason in (
        ("/tmp/homes", "deleted at times"),
        ("/home/jupyter-ann/x", "the home of a user"),
        ("data", "from /"),
        ("/dev/shm/x", "deleted at times"),
    ):
        done = hub.run(f"tljh homes move {place} --yes", check=False)
        assert done.code != 0 and reason in done.stderr, place
    hub.run("install -d -m 777 /srv/open")
    done = hub.run("tljh homes move /srv/open/home --yes", check=False)
    assert "only root can change" in done.stderr
    assert home_of(hub, "jupyter-ann") == "/home/jupyter-ann"


def test_homes_move_to_a_disk_with_all_that_their_files_have(hub, ann):
    hub.run(f"{DISK} && {{ {CONTENT} }}")
    before = hub.run("sh /root/describe.sh /home/jupyter-ann").stdout
    planned = hub.run("tljh homes move /data/home --plan").stdout
    assert "/home/jupyter-ann -> /data/home/jupyter-ann" in planned
    assert "not in /etc/fstab" in planned
    assert home_of(hub, "jupyter-ann") == "/home/jupyter-ann"
    hub.run("tljh homes move /data/home --yes")
    assert home_of(hub, "jupyter-ann") == "/data/home/jupyter-ann"
    assert hub.run("sh /root/describe.sh /data/home/jupyter-ann").stdout == before
    # Paths in her files still lead there, and the old home is root's.
    assert hub.run("cat /home/jupyter-ann/notebooks/a.txt").stdout == "hello\n"
    assert hub.run("stat -c '%U %a' /home/.moved").stdout == "root 700\n"
    ann.start_server()
    output = ann.terminal("pwd -P; cat ~/absolute")
    assert "/data/home/jupyter-ann" in output and "hello" in output
    assert hub.run("tljh-config get users.home_root").stdout.strip() == "/data/home"
    assert "all homes are in /data/home" in hub.run("tljh homes move /data/home").stdout
    # Who comes later gets a home there.
    bob = HubUser(hub.url, "bob")
    bob.login(PASSWORD)
    bob.start_server()
    assert home_of(hub, "jupyter-bob") == "/data/home/jupyter-bob"


def test_without_the_disk_no_server_starts_and_no_empty_home_is_made(hub, ann):
    ann.stop_server()
    hub.run("umount -l /data")
    assert "the disk with the home directories" in hub.run("tljh status", check=False).stdout
    with pytest.raises(AssertionError):
        ann.start_server()
    log = hub.run("tljh logs --user ann").stdout
    assert "the disk with the home directories is not there" in log
    assert hub.run("ls -A /data").stdout == ""
    hub.run("mount -o loop /srv/disk.img /data")
    ann.start_server()


def test_a_move_that_is_killed_goes_on(hub, ann):
    hub.run("dd if=/dev/urandom of=/data/home/jupyter-ann/big bs=1M count=60 status=none")
    move = hub.popen("tljh homes move /srv/homes --yes")
    # In the machine: a fast disk has the file for less time than a command from outside takes.
    hub.run(
        "timeout 60 sh -c 'until [ -e /srv/homes/.moving/jupyter-ann/big ]; do sleep 0.01; done'"
        " && pkill -KILL -f '[h]omes move'"
    )
    move.wait(30)
    # A fast disk may have been done with her home before the kill.
    assert home_of(hub, "jupyter-ann") in ("/data/home/jupyter-ann", "/srv/homes/jupyter-ann")
    result = json.loads(hub.run("tljh homes move /srv/homes --yes --json").stdout)
    assert "jupyter-bob" in result["moved"]
    assert home_of(hub, "jupyter-ann") == "/srv/homes/jupyter-ann"
    hub.run("cmp /srv/homes/jupyter-ann/big /data/home/.moved/jupyter-ann/big")
    hub.run("tljh homes move /home --yes")
    assert home_of(hub, "jupyter-bob") == "/home/jupyter-bob"
    ann.start_server()
    hub.run("test -d /home/jupyter-ann && test ! -L /home/jupyter-ann")
    hub.run("tljh homes clean --yes")
    assert hub.run("ls -d /srv/homes/.moved /home/.moved", check=False).code != 0
    assert "hello" in hub.run("cat /home/jupyter-ann/notebooks/a.txt").stdout
