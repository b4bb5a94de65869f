"""Public keys: read as sshd reads them, refused where they are none, written as the user."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh.base.errors import TljhError
from tljh.base.progress import SilentProgress
from tljh.host.fake import FakeHost
from tljh.host.interface import Result, UserInfo
from tljh.machine_logins.authorized_keys import AuthorizedKeys, parse_keys, parse_one_key
from tljh.operations.admin_keys import read_ssh_access

ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN73dSZRO2eBRmEhYtdWqyTerK2PB6pVkDew8LBdT8GV ann@laptop"
ED_PRINT = "SHA256:Z4dCtPxzzSs3WNSowUH7GlkZ9b9lXd+mrYsGZXRiu9w"
SHORT = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCslC/3mENp/i9KWVlamuFeqhJJ0coxyNx+ZARafG0+C+LEwebqXoe4"
    "NHcrW6jce1xYwZnObe/bLsgCl4kKdAkuFekG27rFjvTIz77A0uxR/mLLMmSV/PM0MgfSXG8Dntae7TUKVf4+seOAqeUj"
    "af5GWtaSOi5J7jLPvj1pNmpnIQ== short"
)
RSA = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDZWiX9nk7HnupbkpiPIv9jPwkZTPwdOUwQ/fkcpjzQOdoS/X412MaJ"
    "s6TZqKRAuk2eIw0bAHvVAi2gRkUQNsURqU9L6+KBlmntu85fAtSgv6Yonm/f1rc0QyIHCBsmPYRE6tzAPK9nJuymh3tj"
    "uYaI+6EawTw/JxYwLbHvp1AVaHQlEgJpeVaLNbQqg26IgykMlqjN1PP9uyfn6JJBOaSM0eUNMUcRbW/mKcqwkbXEZpJC"
    "OxvSywJIQcnjyF0+sqqzhZPzvkwGfoPLucoIENwsIeWT7At1hUz+zGuvVt1QI9ANveik6VUrizkdcOp96hfIkcmlyeSp"
    "uWog5iZ0ItZx ok"
)
EC = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBE7YqE74VsyRhuqUgyvR"
    "1NV3AJfzZ85RpVfnQQ8qY/83pS+u0ErIp2viwpo6WYyUpPrQuo3XWq6EQLlBl2+LCJM= ec"
)
ACCOUNT = UserInfo("jupyter-ann", 1001, 1001, "/home/jupyter-ann", "/bin/bash")


@pytest.mark.parametrize("line", [ED, RSA, EC, f'from="10.0.0.0/8",no-pty {ED}', f"  {ED}\r\n"])
def test_a_public_key_is_taken(line):
    assert parse_one_key(f"# mine\n{line}\n").line == line.strip()


def test_a_fingerprint_is_that_of_ssh_keygen():
    assert parse_one_key(ED).fingerprint == ED_PRINT
    assert parse_one_key(EC).fingerprint == "SHA256:m3k20Ib5Nyejuf1wdfPrM3xqxHsvjYt/8hK6JxBC+/o"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n", "this is a private key"),
        ("", "has 0 public keys"),
        ("hello", "has 0 public keys"),
        (f"{ED}\n{RSA}", "has 2 public keys"),
        (f"{ED}\nrubbish", "has 1 public keys, where one line"),
        (SHORT, "1024 bits"),
        (ED.replace("IN73", ""), "damaged"),
        (ED.replace("ssh-ed25519", "ssh-rsa"), "damaged"),
    ],
)
def test_what_is_no_public_key_is_refused_with_its_reason(text, words):
    with pytest.raises(TljhError, match=words):
        parse_one_key(text)


@given(st.text())
def test_no_text_is_read_as_a_key_by_mistake(text):
    assert parse_keys(f"#{ED}\n") == []
    for key in parse_keys(text):
        assert key.line in text


@pytest.fixture
def host() -> FakeHost:
    host = FakeHost()
    host.accounts["jupyter-ann"] = ACCOUNT
    host.text = ""

    def run_as_user(argv: Sequence[str]) -> Result:
        return Result(0, host.text)

    host.answers["runuser"] = run_as_user
    return host


def test_keys_are_written_by_a_process_of_the_user_and_go_back(host, monkeypatch):
    commands = []

    def run(argv: Sequence[str], **options: object) -> Result:
        commands.append(list(argv))
        host.text = str(options["stdin"])
        return Result(0)

    monkeypatch.setattr(host, "run", run)
    resource = AuthorizedKeys("jupyter-ann", f"{ED}\n")
    assert resource.difference(host).summary == f"adds {ED_PRINT}"
    record = resource.before(host)
    resource.apply(host, SilentProgress())
    assert commands[0][:3] == ["runuser", "-u", "jupyter-ann"]
    assert host.text == f"{ED}\n"
    assert resource.difference(host) is None
    AuthorizedKeys.revert(host, record)
    assert host.text == ""


def test_an_admin_gets_in_only_where_sshd_lets_the_account_in(host):
    for path in ("/usr", "/usr/sbin", "/home", "/home/jupyter-ann", "/home/jupyter-ann/.ssh"):
        host.mkdir(Path(path), mode=0o755)
    assert not read_ssh_access(host).has_server
    host.write(Path("/usr/sbin/sshd"), b"", mode=0o755)
    host.add_group("sudo")
    host.add_to_group("jupyter-ann", "sudo")
    keys = Path("/home/jupyter-ann/.ssh/authorized_keys")
    host.write(keys, f"{ED}\n".encode(), mode=0o600)
    for answer, with_key, passwords in (
        (Result(0, "passwordauthentication no\n"), ["jupyter-ann"], False),
        (Result(0, "passwordauthentication yes\n"), ["jupyter-ann"], True),
        (Result(0, "passwordauthentication no\ndenyusers *\n"), [], False),
        (Result(255, "", "Missing privilege separation directory"), ["jupyter-ann"], None),
    ):
        host.answers["/usr/sbin/sshd"] = answer
        access = read_ssh_access(host)
        assert (list(access.with_key), access.accepts_passwords) == (with_key, passwords)
