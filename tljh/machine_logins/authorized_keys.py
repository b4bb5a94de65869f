"""Public keys for SSH in users' homes: read, checked, and written as the user.

A home belongs to its user, who may put links in it. So root reads and writes nothing there: a
process of the user does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.engine.resource import Difference, Record, Resource, Stage
from tljh.host.interface import Host, HostReader, UserInfo

AUTHORIZED_KEYS = Path(".ssh") / "authorized_keys"
MOST_BYTES = 1 << 20
SMALLEST_RSA_BITS = 2048
TIMEOUT_S = 30

_KEY = re.compile(
    r"(?:^|(?<=\s))(?P<type>ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-nistp\d+|sk-[\w-]+@openssh\.com) +"
    r"(?P<blob>AAAA[A-Za-z0-9+/]+={0,2})(?: +(?P<comment>.*))?$"
)
_WRITE = (
    'umask 077 && cd "$1" && mkdir -p .ssh && cat > .ssh/authorized_keys.new && '
    "mv .ssh/authorized_keys.new .ssh/authorized_keys"
)


@dataclass(frozen=True)
class SshKey:
    """A public key; `line` is as it is in the file, with options and comment."""

    type: str
    blob: str
    comment: str
    line: str

    @property
    def fingerprint(self) -> str:
        """The name of the key, as ssh-keygen and sshd's log print it."""
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def parse_keys(text: str) -> list[SshKey]:
    """Return the keys of a file; comments and lines that sshd ignores, too, are left out."""
    keys = []
    for line in text.splitlines():
        match = None if line.lstrip().startswith("#") else _KEY.search(line.strip())
        if match:
            keys.append(
                SshKey(match["type"], match["blob"], (match["comment"] or "").strip(), line.strip())
            )
    return keys


def parse_one_key(text: str) -> SshKey:
    """Return the one public key of an admin's input. Raises TljhError for anything else."""
    if "PRIVATE KEY" in text:
        raise TljhError(
            "this is a private key, which must stay where it is",
            fix="give the public one, in the file whose name ends in .pub",
        )
    keys = parse_keys(text)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(keys) != 1 or len(lines) != 1:
        raise TljhError(
            f"the input has {len(keys)} public keys, where one line with one is needed",
            fix="make one with ssh-keygen -t ed25519; it is in ~/.ssh/id_ed25519.pub",
        )
    [key] = keys
    fields = _read_fields(key.blob)
    if not fields or fields[0] != key.type.encode():
        raise TljhError("the public key is damaged", why="its data is not of the type it names")
    if key.type == "ssh-dss":
        raise TljhError("sshd takes no DSA keys any more", fix="ssh-keygen -t ed25519")
    if key.type == "ssh-rsa" and _count_bits(fields[-1]) < SMALLEST_RSA_BITS:
        raise TljhError(
            f"this RSA key has {_count_bits(fields[-1])} bits, which is too short",
            fix="ssh-keygen -t ed25519",
        )
    return key


def _read_fields(blob: str) -> list[bytes]:
    """Return the length-prefixed fields of a key; empty if it is damaged."""
    try:
        data = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        return []
    fields = []
    while data:
        length = int.from_bytes(data[:4], "big")
        if len(data) < 4 + length:
            return []
        fields.append(data[4 : 4 + length])
        data = data[4 + length :]
    return fields


def _count_bits(number: bytes) -> int:
    return int.from_bytes(number, "big").bit_length()


def read_keys(host: HostReader, user: UserInfo) -> list[SshKey]:
    """Return the keys of an account, for looking at only.

    Behind a link, those that the user can read: root's own keys are not the user's.
    """
    path = Path(user.home) / AUTHORIZED_KEYS
    directory, file = host.info(path.parent), host.info(path)
    if directory is None or directory.kind != "directory" or file is None or file.kind != "file":
        return parse_keys(read_text_as_user(host, user)) if file is not None else []
    data = host.read(path, most_bytes=MOST_BYTES)
    return parse_keys((data or b"").decode(errors="replace"))


def read_text_as_user(host: HostReader, user: UserInfo) -> str:
    """Return the file's text as far as its user can read it; empty if there is none."""
    path = str(Path(user.home) / AUTHORIZED_KEYS)
    return host.query(["runuser", "-u", user.name, "--", "cat", "--", path]).out


@dataclass(frozen=True)
class AuthorizedKeys(Resource):
    """The text of a user's file of public keys."""

    account: str
    text: str

    kind: ClassVar[str] = "authorized-keys"
    # After the account and its home are there.
    stage: ClassVar[Stage] = Stage.LAST

    @property
    def name(self) -> str:
        return self.account

    def difference(self, host: HostReader) -> Difference | None:
        before = _read(host, self.account)
        if before == self.text:
            return None
        old = {key.fingerprint for key in parse_keys(before)}
        new = {key.fingerprint for key in parse_keys(self.text)}
        words = [f"adds {each}" for each in sorted(new - old)]
        words += [f"removes {each}" for each in sorted(old - new)]
        return Difference("~", "; ".join(words) or "changes")

    def before(self, host: HostReader) -> Record:
        return {"account": self.account, "text": _read(host, self.account)}

    def apply(self, host: Host, progress: Progress) -> None:
        _write(host, self.account, self.text)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        if host.user(record["account"]) is not None:
            _write(host, record["account"], record["text"])


def _read(host: HostReader, account: str) -> str:
    user = host.user(account)
    return read_text_as_user(host, user) if user else ""


def _write(host: Host, account: str, text: str) -> None:
    user = host.user(account)
    if user is None:
        raise TljhError(f"there is no account {account}", fix="sudo tljh-config reload")
    command = ["runuser", "-u", account, "--", "sh", "-c", _WRITE, "sh", user.home]
    done = host.run(command, timeout_s=TIMEOUT_S, stdin=text)
    if not done.ok:
        raise TljhError(f"the keys of {account} could not be written", why=done.err.strip())
