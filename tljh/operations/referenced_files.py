"""Files that the configuration names: are they there, readable, and what they should be?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tljh.host.interface import HostReader
from tljh.settings.declaration import KeyPath, Problem
from tljh.settings.keys import key_text
from tljh.settings.root import Config
from tljh.settings.sections.https import MOST_FILE_BYTES


def referenced_file_problems(config: Config, host: HostReader) -> Iterator[Problem]:
    """What is wrong with certificates and files of secrets, as far as one can see by reading."""
    yield from _certificates(config, host)
    for path, name in secret_files(config):
        info = host.info(Path(name), follow=True)
        if info is None or info.kind != "file":
            yield Problem(
                path,
                f"{key_text(path)} names a file that is not there: {name}",
                fix=f"make it: sudo install -m 600 /dev/stdin {name}",
            )
        elif info.mode & 0o077:
            yield Problem(
                path,
                f"{name} holds a secret and can be read by others than root",
                fix=f"sudo chmod 600 {name}",
                severity="warning",
            )


def secret_files(config: Config) -> Iterator[tuple[KeyPath, str]]:
    """Every `{file: /path}` in the place of a trait."""
    sections: list[tuple[KeyPath, Mapping[str, Any]]] = [
        (("auth", name), traits) for name, traits in config.auth.classes.items()
    ]
    sections += [((name,), traits) for name, traits in config.traitlets.items()]
    for where, traits in sections:
        for trait, value in traits.items():
            if isinstance(value, dict) and set(value) == {"file"}:
                yield (*where, trait), str(value["file"])


def _certificates(config: Config, host: HostReader) -> Iterator[Problem]:
    https = config.https
    named: list[tuple[KeyPath, str | None]] = [(("https", "letsencrypt", "ca_bundle"), None)]
    named[0] = (named[0][0], https.letsencrypt.ca_bundle)
    named += [(("https", "tls", name), getattr(https.tls, name)) for name in ("cert", "key")]
    good = []
    for path, name in named:
        if not name:
            continue
        problem = _pem_problem(path, name, host)
        if problem is not None:
            yield problem
        elif path[1] == "tls":
            good.append(name)
    # While HTTPS is off, a certificate may still be on its way.
    if len(good) == 2 and https.effective_mode == "tls":
        # Reads certificates, and knows what makes units of them: much for who sets a limit.
        from tljh.certificates.own_files import pair_problems, read_files

        yield from pair_problems(https, read_files(host, https))


def _pem_problem(path: KeyPath, name: str, host: HostReader) -> Problem | None:
    key = key_text(path)
    try:
        data = host.read(Path(name), most_bytes=MOST_FILE_BYTES)
    except PermissionError:
        return Problem(path, f"{key} names a file that cannot be read: {name}", fix="use sudo")
    if data is None:
        is_there = host.info(Path(name), follow=True) is not None
        what = "no file, or a huge one" if is_there else "a file that is not there"
        return Problem(
            path,
            f"{key} names {what}: {name}",
            fix=f"put the file there, or: sudo tljh-config set {key} /its/path",
        )
    wanted = b"PRIVATE KEY-----" if path[-1] == "key" else b"CERTIFICATE-----"
    if wanted not in data:
        noun = "private key" if path[-1] == "key" else "certificate"
        tool = "pkey" if noun == "private key" else "x509"
        return Problem(
            path,
            f"{key} names a file that holds no {noun} in PEM form: {name}",
            fix=f"if it is in DER form: openssl {tool} -inform DER -in {name} -out {name}.pem",
        )
    if path[-1] == "key" and (b"ENCRYPTED" in data):
        return Problem(
            path,
            f"{key} names a private key with a passphrase: {name}",
            fix=f"take it off: sudo openssl pkey -in {name} -out {name}.plain",
        )
    return None
