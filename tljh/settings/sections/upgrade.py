"""Settings of upgrades to newer releases."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from tljh.settings.declaration import Cost, Section, setting


def _check_url(value: str) -> str:
    if not re.match(r"(https?://[^\s/]+|file:///|/)\S*$", value):
        raise ValueError("must be a URL (https://…) or an absolute directory")
    if value.startswith("http://") and not re.match(r"http://(127\.|localhost\b|\[::1\])", value):
        raise ValueError("must begin with https:// (http:// only on this machine)")
    return value


def _check_key(value: str) -> str:
    if not re.match(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-\S+|sk-\S+) [A-Za-z0-9+/]+=*( .*)?$", value):
        raise ValueError("must be an SSH public key: ssh-ed25519 AAAA…")
    return value


ReleaseUrl = Annotated[str, AfterValidator(_check_url)]
SigningKey = Annotated[str, AfterValidator(_check_key)]


class UpgradeSettings(Section):
    """Upgrades to newer releases of tljh."""

    url: ReleaseUrl | None = setting(
        None,
        help="Where releases come from: the directory of releases.json, as URL or path.",
        cost=Cost.NOTHING,
        example="https://releases.example.org/tljh",
    )
    signers: list[SigningKey] = setting(
        [],
        help="SSH public keys that may sign releases.json, in place of those of this release.",
        cost=Cost.NOTHING,
        example="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGk",
    )
    automatic: Literal["never", "notify", "security", "all"] = setting(
        "notify",
        help="What happens with newer releases by itself: nothing is asked (never), tljh status "
        "names them (notify), or they are installed in the window (security or all).",
        cost=Cost.NOTHING,
        example="security",
    )
    window: str = setting(
        "Sun 04:00",
        help="When unattended upgrades begin, as a calendar expression of systemd.",
        cost=Cost.NOTHING,
        example="*-*-* 03:30",
    )
