"""Check the files that the configuration names: certificates, keys, and files of secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any

from tljh.base.paths import Paths
from tljh.certificates.file_forms import (
    LABELS,
    Part,
    describe_other_form,
    find_damaged_form,
    swap_fix,
)
from tljh.host.interface import HostReader
from tljh.proxy.open_folders import is_open
from tljh.settings.declaration import KeyPath, Problem
from tljh.settings.derived import list_folder_routes
from tljh.settings.keys import format_key
from tljh.settings.root import Config
from tljh.settings.sections.https import MOST_FILE_BYTES, HttpsSettings

_CREDENTIALS: KeyPath = ("user_environment", "credentials_file")

_NETRC = re.compile(rb"(?:^|\s)(?:machine\s+\S+|default)\s+(?:login\s+\S+\s+)?password\s+\S")


def find_referenced_file_problems(
    config: Config, host: HostReader, *, served_from: Paths | None = None
) -> Iterator[Problem]:
    """Yield a problem for each file that is missing, unreadable, too open or of another kind.

    With `served_from`, the flaws of a certificate that Traefik serves already are warnings: an
    expired one must not block every other change.
    """
    yield from _check_certificates(config, host, served_from)
    yield from _check_logo(config, host)
    yield from _check_credentials(config, host)
    yield from _check_folders(config, host)
    for path, name in list_secret_files(config):
        info = host.info(Path(name), follow=True)
        if info is None or info.kind != "file":
            yield Problem(
                path,
                f"{format_key(path)} names a file that does not exist: {name}",
                fix=f"create it: sudo install -m 600 /dev/stdin {quote(name)}",
            )
        elif info.mode & 0o077:
            yield Problem(
                path,
                f"{name} holds a secret and can be read by others than root",
                fix=f"sudo chmod 600 {quote(name)}",
                severity="warning",
            )


def _check_logo(config: Config, host: HostReader) -> Iterator[Problem]:
    logo = config.pages.logo
    info = host.info(Path(logo), follow=True) if logo else None
    if logo and (info is None or info.kind != "file"):
        yield Problem(
            ("pages", "logo"),
            f"pages.logo names a file that does not exist: {logo}",
            why="each page would show a broken image",
            fix=f"copy the image to {quote(logo)}, or: sudo tljh-config unset pages.logo",
        )


def _check_folders(config: Config, host: HostReader) -> Iterator[Problem]:
    """Yield each folder of proxy.extra_routes that is missing, or could have others' files."""
    for route, name in list_folder_routes(config).items():
        path: KeyPath = ("proxy", "extra_routes", route)
        folder = Path(name)
        steps = [(each, host.info(each)) for each in (*reversed(folder.parents), folder)]
        missing = next((each for each, info in steps if info is None), None)
        if missing is not None:
            yield Problem(
                path,
                f"proxy.extra_routes names a directory that does not exist: {name}",
                fix=f"create it: sudo install -d {quote(name)}",
            )
            continue
        for each, info in steps:
            if info is None:
                continue
            if info.kind != "directory":
                kind = "a link" if info.kind == "symlink" else "no directory"
                yield Problem(
                    path,
                    f"proxy.extra_routes names {name}, but {each} is {kind}",
                    fix="name the directory itself",
                )
                break
            if is_open(info.owner, info.group, info.mode):
                yield Problem(
                    path,
                    f"proxy.extra_routes names {name}, but others than root can write to {each}",
                    why="they could publish pages that act as the hub's visitors",
                    fix=f"sudo chown -R root:root {quote(str(each))} && "
                    f"sudo chmod -R go-w {quote(str(each))}, or copy the files to /srv/site",
                )
                break
            if not info.mode & 0o001 or (each == folder and not info.mode & 0o004):
                yield Problem(
                    path,
                    f"proxy.extra_routes names {name}, but not everybody may read {each}",
                    why="the server of these files has the rights of any account",
                    fix=f"sudo chmod o+rx {quote(str(each))}, or copy the files to /srv/site",
                )
                break


def _check_credentials(config: Config, host: HostReader) -> Iterator[Problem]:
    name = config.user_environment.credentials_file
    data = host.read(Path(name), most_bytes=MOST_FILE_BYTES) if name else None
    if name and data is not None and not _NETRC.search(data):
        yield Problem(
            _CREDENTIALS,
            f"{format_key(_CREDENTIALS)} names a file without a login: {name}",
            why="each login is a line: machine HOST login NAME password SECRET",
            fix=f"edit it: sudoedit {quote(name)}",
        )


def list_secret_files(config: Config) -> Iterator[tuple[KeyPath, str]]:
    """Yield each setting that names a file of secrets, such as a trait `{file: /path}`."""
    if config.user_environment.credentials_file:
        yield _CREDENTIALS, config.user_environment.credentials_file
    for name, service in config.services.managed.items():
        if service.environment_file:
            yield ("services", name, "environment_file"), service.environment_file
    sections: list[tuple[KeyPath, Mapping[str, Any]]] = [
        (("auth", name), traits) for name, traits in config.auth.classes.items()
    ]
    sections += [((name,), traits) for name, traits in config.traitlets.items()]
    for section, traits in sections:
        for trait, value in traits.items():
            if isinstance(value, dict) and set(value) == {"file"}:
                yield (*section, trait), str(value["file"])


def _check_certificates(
    config: Config, host: HostReader, served_from: Paths | None
) -> Iterator[Problem]:
    https = config.https
    files: tuple[tuple[KeyPath, str | None], ...] = (
        (("https", "letsencrypt", "ca_bundle"), https.letsencrypt.ca_bundle),
        (("https", "tls", "cert"), https.tls.cert),
        (("https", "tls", "key"), https.tls.key),
        (("user_environment", "ca_bundle"), config.user_environment.ca_bundle),
    )
    readable = []
    for path, name in files:
        if not name:
            continue
        problem = _find_pem_problem(path, name, host)
        if problem is not None and path[1] == "tls" and _is_swapped(https, host):
            problem = replace(problem, fix=swap_fix(https.tls.cert, https.tls.key))
        if problem is not None:
            yield problem
        elif path[1] == "tls":
            readable.append(name)
    # While HTTPS is off, the admin may not have the certificate yet.
    if len(readable) == 2 and https.effective_mode == "tls":
        # Imported here: it takes long, and most edits do not need it.
        from tljh.certificates.own_files import find_pair_problems, is_served, read_files
        from tljh.proxy.served_certificate import read_configured_pair

        certificates = read_files(host, https)
        served = read_configured_pair(host, served_from) if served_from else None
        is_accepted = served is not None and is_served(https, certificates, served)
        for problem in find_pair_problems(https, certificates):
            yield replace(problem, severity="warning") if is_accepted else problem


def _is_swapped(https: HttpsSettings, host: HostReader) -> bool:
    """Return whether each of the two settings names the file that belongs to the other one."""

    def has(name: str, label: bytes) -> bool:
        return bool(name) and label in (host.read(Path(name), most_bytes=MOST_FILE_BYTES) or b"")

    cert, key = https.tls.cert, https.tls.key
    return (
        has(cert, LABELS["key"])
        and has(key, LABELS["cert"])
        and not has(cert, LABELS["cert"])
        and not has(key, LABELS["key"])
    )


def _find_pem_problem(path: KeyPath, name: str, host: HostReader) -> Problem | None:
    key = format_key(path)
    try:
        data = host.read(Path(name), most_bytes=MOST_FILE_BYTES)
    except PermissionError:
        return Problem(path, f"{key} names a file that cannot be read: {name}", fix="use sudo")
    if data is None:
        exists = host.info(Path(name), follow=True) is not None
        what = "no file, or a huge one" if exists else "a file that does not exist"
        return Problem(
            path,
            f"{key} names {what}: {name}",
            fix=f"copy the file there, or: sudo tljh-config set {quote(key)} /its/path",
        )
    part: Part = "key" if path[-1] == "key" else "cert"
    described = (
        find_damaged_form(part, data, name)
        if LABELS[part] in data
        else describe_other_form(part, data, name)
    )
    if described is not None:
        return Problem(path, f"{key} names {described.what}: {name}", fix=described.fix)
    if path[-1] == "key" and (b"ENCRYPTED" in data):
        return Problem(
            path,
            f"{key} names a private key with a passphrase: {name}",
            fix="remove the passphrase: "
            f"sudo openssl pkey -in {quote(name)} -out {quote(f'{name}.plain')}",
        )
    return None
