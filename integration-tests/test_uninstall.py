"""`tljh uninstall` on a real machine: afterwards it is as it was before the installation."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from machine import Machine
from machine.install import channel_mount, install, local_channel

# What systemd, apt and dpkg write by themselves, and what the test puts there.
NOT_COMPARED = (
    "/dev", "/proc", "/sys", "/run", "/tmp", "/var/tmp", "/var/log", "/srv/tljh", "/srv/channel",
    "/var/lib/apt", "/var/lib/dpkg", "/var/cache/apt", "/var/cache/debconf", "/var/lib/systemd",
    "/var/cache/ldconfig", "/etc/ld.so.cache", "/etc/mtab", "/etc/.pwd.lock", "/usr/share/mime",
    "/var/lib/ucf", "/var/lib/ucf/cache", "/root/.cache", "/var/cache/tljh-test",
)  # fmt: skip
# Debian's tools keep the former version of these; their content is compared.
ACCOUNTS = "/etc/passwd /etc/group /etc/shadow /etc/gshadow /etc/subuid /etc/subgid"

TREE = f"""
import hashlib, os, subprocess, sys
skipped = set({NOT_COMPARED!r})
owned = set(subprocess.run("cat /var/lib/dpkg/info/*.list", shell=True, capture_output=True,
                           text=True).stdout.splitlines())
links = {{"bin", "lib", "sbin", "lib64"}}
owned |= {{f"/usr{{path}}" for path in owned if "/" in path[1:] and
          path.split("/", 2)[1] in links}}
for directory, names, files in os.walk("/"):
    names[:] = [name for name in names
                if os.path.join(directory, name) not in skipped and name != "__pycache__"]
    for name in names + files:
        path = os.path.join(directory, name)
        if path in skipped or path in owned or name.endswith(("-", ".pyc")):
            continue
        info = os.lstat(path)
        content = ""
        if os.path.isfile(path) and not os.path.islink(path):
            content = hashlib.sha256(open(path, "rb").read()).hexdigest()[:12]
        target = os.readlink(path) if os.path.islink(path) else ""
        print(f"{{path}} {{info.st_mode:o}} {{info.st_uid}}:{{info.st_gid}} {{content}}{{target}}")
"""


def read_tree(machine: Machine) -> set[str]:
    return set(machine.run("python3 -", input=TREE, timeout_s=300).stdout.splitlines())


@pytest.fixture(scope="module")
def fresh(release: str) -> Iterator[Machine]:
    """Boot a machine with the local channel and without a hub."""
    with Machine.boot(release, options=channel_mount(local_channel(release))) as booted:
        yield booted


def test_after_an_uninstall_the_machine_is_as_before_but_for_what_it_lists(fresh: Machine):
    # The packages stay, and create groups and caches.
    fresh.run("apt-get update && apt-get install -y python3-venv acl nftables sudo", timeout_s=300)
    before = read_tree(fresh)
    install(fresh)
    fresh.run("tljh user add ann && tljh-config set https.mode internal && tljh-config reload")
    plan = fresh.run("tljh uninstall --plan").stdout
    assert "jupyterhub.service" in plan
    refused = fresh.run("tljh uninstall </dev/null", check=False)
    assert refused.code == 2
    assert "confirmation" in refused.stderr
    removed = json.loads(fresh.run("tljh uninstall --yes --json").stdout)
    after = read_tree(fresh)
    kept = {line for line in after if line.startswith("/var/backups/tljh")}
    assert sorted(after - kept - before) == []
    assert sorted(before - after) == []
    assert len(kept) == 2
    assert any("Debian packages" in line for line in removed["stays"])
    assert fresh.run("systemctl --failed --plain --no-legend").stdout.strip() == ""
    assert "inet tljh" not in fresh.run("nft list tables").stdout


@pytest.mark.long
def test_the_bootstrap_uninstalls_after_the_prefix_was_deleted_by_hand(fresh: Machine):
    before = read_tree(fresh)
    install(fresh)
    fresh.run("rm -rf /opt/tljh")
    command = "cd /srv/tljh && python3 installer/bootstrap.py --uninstall --purge"
    refused = fresh.run(f"{command} </dev/null", check=False)
    assert refused.code == 2
    fresh.run(f"{command} --yes")
    assert sorted(read_tree(fresh) ^ before) == []
    assert fresh.run("tljh status", check=False).code == 127
