"""`tljh support` on a real hub: all that helps is in it, and no secret."""

from __future__ import annotations

import io
import json
import secrets
import tarfile

import pytest

from session import import_users

PASSWORD = "a long password 1"


@pytest.fixture
def hub(installed_shared, restored_config):
    return installed_shared


def read_archive(machine, path: str) -> dict[str, str]:
    data = bytes.fromhex(machine.run(f"xxd -p {path} || od -An -tx1 -v {path}").stdout.translate(
        {ord(letter): None for letter in " \n"}
    ))  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {
            member.name.partition("/")[2]: content.read().decode()
            for member in archive
            if (content := archive.extractfile(member))
        }


def test_planted_secrets_are_not_in_the_file_and_findings_are(hub, cleanup):
    planted = {name: secrets.token_urlsafe(12) for name in ("oauth", "drop-in", "comment", "unit")}
    planted["url"] = "u" + secrets.token_hex(8)
    hub.run(
        "tljh-config set auth.GitHubOAuthenticator.client_secret --stdin", input=planted["oauth"]
    )
    cleanup.callback(hub.run, "rm -f /opt/tljh/config/jupyterhub_config.d/x.py")
    hub.run(
        "tee /opt/tljh/config/jupyterhub_config.d/x.py",
        input=f"c.LDAPAuthenticator.lookup_dn_user_password = '{planted['drop-in']}'\n"
        f"# the old password was {planted['comment']}\n"
        f"db = 'postgresql://hub:{planted['url']}@db/hub'\n",
    )
    cleanup.callback(hub.run, "rm -rf /etc/systemd/system/jupyterhub.service.d/secret.conf")
    hub.run(
        "mkdir -p /etc/systemd/system/jupyterhub.service.d && "
        "tee /etc/systemd/system/jupyterhub.service.d/secret.conf",
        input=f"[Service]\nEnvironment=MY_API_TOKEN={planted['unit']}\n",
    )
    import_users(hub, ["ann"], PASSWORD)
    hub.run("tljh-config set limits.memory 900M")
    written = json.loads(hub.run("tljh support --json", timeout_s=120).stdout)
    assert hub.run(f"stat -c %a:%U {written['path']}").stdout.strip() == "600:root"
    texts = read_archive(hub, written["path"])
    whole = "\n".join(texts.values())
    state = "/opt/tljh/state"
    own = hub.run(f"cat {state}/jupyterhub_cookie_secret {state}/*.secret").stdout.split()
    hashes = hub.run(
        "grep -ho '[$]2[aby][$][^ ]*' /opt/tljh/state/passwords.dbm* -a"
    ).stdout.split()
    for secret in (*planted.values(), PASSWORD, *own, *hashes):
        assert secret not in whole
    assert "release 0" in texts["versions.txt"]
    assert "client_secret" in texts["config/config.yaml.txt"]
    assert "lookup_dn_user_password" in texts["config/jupyterhub_config.d/x.py.txt"]
    assert "JupyterHub" in texts["logs/jupyterhub.service.txt"]
    assert "sudo tljh-config reload" in texts["doctor.txt"]
    assert [name for name, text in texts.items() if text.startswith("could not be read")] == []
