"""The index of releases: read from `upgrade.url`, checked against its signature, and chosen from.

The index `releases.json` names each release's bootstrap.py with its sha256. `releases.json.sig` is
its signature by `ssh-keygen -Y sign`. So only the index is signed, and it vouches for the files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.errors import TljhError
from tljh.base.versions import find_replacement_problem, parse_version
from tljh.host.interface import Host, HostReader

if TYPE_CHECKING:
    from tljh.settings.sections.upgrade import UpgradeSettings

INDEX = "releases.json"
SIGNATURE = f"{INDEX}.sig"
# Of ssh-keygen's signatures: one that was made for another purpose is refused.
NAMESPACE = "tljh-release"
IDENTITY = "tljh"
INDEX_TIMEOUT_S = 15.0
RELEASE_TIMEOUT_S = 600.0
MOST_INDEX_BYTES = 1 << 20
MOST_RELEASE_BYTES = 64 << 20


@dataclass(frozen=True)
class ListedRelease:
    """A release in the index; `file` is relative to the index."""

    version: str
    file: str
    sha256: str
    upgrades_from: str
    is_security: bool = False
    summary: str = ""


def parse_index(data: bytes, place: str) -> tuple[ListedRelease, ...]:
    """Return the releases of an index, the newest first. Raises TljhError for any other text."""
    try:
        releases = [
            ListedRelease(
                version=str(item["version"]),
                file=str(item["file"]),
                sha256=str(item["sha256"]),
                upgrades_from=str(item["upgrades_from"]),
                is_security=bool(item.get("security", False)),
                summary=str(item.get("summary", "")),
            )
            for item in json.loads(data)["releases"]
        ]
        return tuple(sorted(releases, key=lambda each: parse_version(each.version), reverse=True))
    except (ValueError, KeyError, TypeError) as error:
        raise TljhError(
            f"{place} is not an index of releases",
            why=f"{type(error).__name__}: {error}",
            fix="correct upgrade.url: it is the directory that has releases.json",
        ) from error


def choose_release(
    releases: Sequence[ListedRelease], installed: str, version: str | None = None
) -> ListedRelease | None:
    """Return the release to upgrade to: `version`, or the newest that can replace `installed`.

    Returns None if there is nothing newer. Raises TljhError for a version that is not listed, that
    is older, or that skips releases; the fix names the one to take first.
    """
    if version is not None:
        named = [each for each in releases if parse_version(each.version) == parse_version(version)]
        if not named:
            raise TljhError(
                f"there is no release {version}",
                why=f"the index has {', '.join(each.version for each in releases) or 'none'}",
                fix="list what is newer: sudo tljh upgrade --check",
            )
        bridge = find_next(releases, installed)
        problem = find_replacement_problem(
            installed, named[0].version, named[0].upgrades_from, bridge.version if bridge else ""
        )
        if problem:
            raise TljhError([problem])
        return None if parse_version(version) == parse_version(installed) else named[0]
    return find_next(releases, installed)


def find_next(releases: Sequence[ListedRelease], installed: str) -> ListedRelease | None:
    """Return the newest release that is newer than `installed` and can replace it."""
    for release in releases:
        is_newer = parse_version(release.version) > parse_version(installed)
        if is_newer and not find_replacement_problem(
            installed, release.version, release.upgrades_from
        ):
            return release
    return None


def list_newer(releases: Sequence[ListedRelease], installed: str) -> tuple[ListedRelease, ...]:
    """Return the releases that are newer than `installed`, the newest first."""
    current = parse_version(installed)
    return tuple(each for each in releases if parse_version(each.version) > current)


def read_index(host: Host, settings: UpgradeSettings, scratch: Path) -> tuple[ListedRelease, ...]:
    """Return the releases at `upgrade.url`, after its signature was checked.

    `scratch` is a directory that only root can read or write. Raises TljhError for an address that
    does not answer, and for a signature by another key.
    """
    url = require_url(settings)
    data = fetch(host, f"{url}/{INDEX}", INDEX_TIMEOUT_S, MOST_INDEX_BYTES)
    signature = fetch(host, f"{url}/{SIGNATURE}", INDEX_TIMEOUT_S, MOST_INDEX_BYTES)
    verify(host, data, signature, read_signers(settings), scratch)
    return parse_index(data, f"{url}/{INDEX}")


def require_url(settings: UpgradeSettings) -> str:
    """Return `upgrade.url` without a slash at its end. Raises TljhError if it is not set."""
    if not settings.url:
        raise TljhError(
            "there is no address to look for releases",
            why="upgrade.url is not set",
            fix="download a release's bootstrap.py, then: sudo tljh upgrade --file bootstrap.py",
        )
    return settings.url.rstrip("/")


def read_signers(settings: UpgradeSettings) -> str:
    """Return the allowed signers: those of upgrade.signers, or those that this release carries."""
    if settings.signers:
        lines = (f'{IDENTITY} namespaces="{NAMESPACE}" {key}' for key in settings.signers)
        return "\n".join(lines) + "\n"
    return files("tljh.upgrades").joinpath("signers").read_text(encoding="utf-8")


def fetch(host: HostReader, url: str, timeout_s: float, most_bytes: int) -> bytes:
    """Return the content of a URL, or of a file for file:// and paths. Raises TljhError."""
    path = url.removeprefix("file://")
    if not path.startswith("/"):
        return host.download(url, timeout_s=timeout_s, most_bytes=most_bytes)
    data = host.read(Path(path), most_bytes=most_bytes)
    if data is None:
        raise TljhError(f"there is no file {path}", fix="correct upgrade.url")
    return data


def verify(host: Host, data: bytes, signature: bytes, signers: str, scratch: Path) -> None:
    """Check the signature of `data` with ssh-keygen. Raises TljhError if it is not valid."""
    has_key = any(line.strip() and line.lstrip()[0] != "#" for line in signers.splitlines())
    if not has_key:
        raise TljhError(
            "the index of releases cannot be checked: there is no key to check it with",
            why="this release carries no public key, and upgrade.signers has none",
            fix="sudo tljh-config add-item upgrade.signers 'ssh-ed25519 AAAA…'",
        )
    if host.info(scratch) is None:
        host.mkdir(scratch, mode=0o700)
    allowed, signed = scratch / "allowed-signers", scratch / SIGNATURE
    try:
        host.write(allowed, signers.encode(), mode=0o600)
        host.write(signed, signature, mode=0o600)
        command = ["ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", IDENTITY]
        command += ["-n", NAMESPACE, "-s", str(signed)]
        try:
            result = host.query(command, stdin=data.decode("utf-8", errors="replace"))
        except TljhError as error:
            raise TljhError(
                "the signature of the index of releases cannot be checked",
                why=str(error),
                fix="sudo apt-get install openssh-client",
            ) from error
    finally:
        host.remove(allowed)
        host.remove(signed)
    if not result.ok:
        raise TljhError(
            "the index of releases has no valid signature; nothing was downloaded from it",
            why=(result.err or result.out).strip()[-500:] or None,
            fix="check upgrade.url; its operator signs with: ssh-keygen -Y sign -n tljh-release",
        )


def fetch_release(host: Host, settings: UpgradeSettings, release: ListedRelease) -> bytes:
    """Return the bootstrap.py of a release, whose sha256 is the one in the signed index."""
    is_absolute = "://" in release.file or release.file.startswith("/")
    place = release.file if is_absolute else f"{require_url(settings)}/{release.file}"
    data = fetch(host, place, RELEASE_TIMEOUT_S, MOST_RELEASE_BYTES)
    digest = hashlib.sha256(data).hexdigest()
    if digest != release.sha256:
        raise TljhError(
            f"{place} is not the file that the index names",
            why=f"its sha256 is {digest}, not {release.sha256}",
            fix="download it again later; if it stays so, tell the operator of upgrade.url",
        )
    return data
