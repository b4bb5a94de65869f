"""`tljh admin ssh-key`: let admins into the machine by key."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import get_paths
from tljh.commands.parameters import (
    Argument,
    NameArgument,
    Option,
    Summary,
    choose_progress_on_stderr,
)
from tljh.host.real import RealHost
from tljh.operations import admin_keys as operations
from tljh.operations.admin_keys import AdminKeys, KeyChange, SshAccess

MOST_BYTES = 1 << 16


def add(
    name: NameArgument,
    *,
    file: Annotated[
        str, Option("--file", "File with the public key; without it, standard input.", "FILE")
    ] = "",
    as_json: bool = False,
) -> Summary:
    """Let an admin into the machine by a public key, from a file or standard input."""
    host, paths = RealHost(), get_paths()
    text = _read_file(host, file) if file else sys.stdin.read(MOST_BYTES)
    done = operations.add_key(host, paths, name, text, choose_progress_on_stderr(as_json))
    return _summarize(done, "gets in by" if done.is_changed else "got in before by")


def _read_file(host: RealHost, name: str) -> str:
    data = host.read(Path(name), most_bytes=MOST_BYTES)
    if data is None:
        raise TljhError(f"there is no file {name}", exit_code=Exit.USAGE)
    return data.decode(errors="replace")


def remove(
    name: NameArgument,
    key: Annotated[str, Argument("KEY", "Its fingerprint, the begin of it, or its comment.")],
    *,
    yes: Annotated[bool, Option("--yes", "Also if it is the last way into the machine.")] = False,
    as_json: bool = False,
) -> Summary:
    """Remove a public key of an admin; open sessions stay."""
    progress = choose_progress_on_stderr(as_json)
    done = operations.remove_key(RealHost(), get_paths(), name, key, progress, yes=yes)
    return _summarize(done, "no longer gets in by")


def _summarize(done: KeyChange, verb: str) -> Summary:
    line = f"{done.login} {verb} {done.key.fingerprint} {done.key.comment}".rstrip()
    data = {
        "user": done.login,
        "fingerprint": done.key.fingerprint,
        "changed": done.is_changed,
        "notes": list(done.notes),
    }
    return Summary((line,), data, tuple(done.notes))


@dataclass(frozen=True)
class KeyList:
    """The keys of all admins, and who gets in."""

    admins: list[AdminKeys]
    access: SshAccess

    def as_text(self) -> str:
        lines = []
        for admin in self.admins:
            lines.append(f"{admin.login} ({admin.account})" + ("" if admin.keys else ": no key"))
            lines += [f"  {key.fingerprint}  {key.type}  {key.comment}" for key in admin.keys]
        lines.append(_describe_access(self.access))
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        return {
            "admins": [
                {
                    "user": admin.login,
                    "account": admin.account,
                    "keys": [
                        {"fingerprint": key.fingerprint, "type": key.type, "comment": key.comment}
                        for key in admin.keys
                    ],
                }
                for admin in self.admins
            ],
            "with_key": list(self.access.with_key),
            "accepts_passwords": self.access.accepts_passwords,
        }


def _describe_access(access: SshAccess) -> str:
    if not access.has_server:
        return "no SSH server is installed"
    names = ", ".join(access.with_key) or "none"
    words = {True: "passwords are accepted, too", False: "by key only", None: "sshd was not asked"}
    passwords = words[access.accepts_passwords]
    return f"accounts that may become root and get in by key: {names}; {passwords}"


def list_keys() -> KeyList:
    """List the keys of all admins, and whether the machine takes passwords, too."""
    host = RealHost()
    keys = operations.list_admin_keys(host, get_paths())
    return KeyList(keys, operations.read_ssh_access(host))
