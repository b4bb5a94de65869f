"""Keys of admins for SSH: added, listed, removed, with a real client.

Not with the other logins: which key is the last one depends on what else opens the machine.
"""

from __future__ import annotations

import json

import test_machine_logins
from test_machine_logins import KEY, ssh

hub = test_machine_logins.hub


def test_an_admin_gets_in_by_a_key_that_was_added_until_it_is_removed(hub):
    hub.run("tljh user add --admin ann && tljh-config reload", timeout_s=180)
    assert ssh(hub, "jupyter-ann", "id").code == 255
    refused = hub.run("tljh admin ssh-key add ann", input="no key", check=False)
    assert refused.code == 1 and "has 0 public keys" in refused.stderr
    added = hub.run(f"tljh admin ssh-key add ann < {KEY}.pub", timeout_s=180).stdout
    assert "ann gets in by SHA256:" in added
    assert ssh(hub, "jupyter-ann", "id -un").stdout.strip() == "jupyter-ann"
    place = "/home/jupyter-ann/.ssh/authorized_keys"
    assert hub.run(f"stat -c '%U %a' {place}").stdout == "jupyter-ann 600\n"
    listed = json.loads(hub.run("tljh admin ssh-key list --json").stdout)
    assert "jupyter-ann" in listed["with_key"]
    [key] = [each["keys"][0] for each in listed["admins"] if each["user"] == "ann"]
    # A link in the home leads root nowhere.
    hub.run(f"rm {place} && ln -s /etc/tljh-made-by-link {place}")
    hub.run(f"tljh admin ssh-key add ann < {KEY}.pub", timeout_s=180)
    assert hub.run("ls /etc/tljh-made-by-link", check=False).code != 0
    assert ssh(hub, "jupyter-ann", "id").code == 0
    removal = f"tljh admin ssh-key remove ann {key['fingerprint']}"
    last = hub.run(removal, check=False, timeout_s=180)
    assert last.code == 1 and "the last key" in last.stderr
    hub.run(f"{removal} --yes", timeout_s=180)
    assert ssh(hub, "jupyter-ann", "id").code == 255
    # An admin who is one no longer gets in by no key, and no longer counts.
    hub.run(f"tljh admin ssh-key add ann < {KEY}.pub", timeout_s=180)
    hub.run("tljh-config remove-item users.admin ann && tljh-config reload", timeout_s=180)
    assert ssh(hub, "jupyter-ann", "id").code == 255
    assert "jupyter-ann" not in hub.run("tljh admin ssh-key list").stdout
