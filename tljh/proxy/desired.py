"""Traefik's files as resources: static, entry points, dynamic, certificates, admins' rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tljh.errors import TljhError
from tljh.paths import Paths
from tljh.proxy.dynamic import (
    Certificate,
    DynamicInputs,
    api_password_hash,
    dynamic_files,
    stale_files,
)
from tljh.proxy.dropins import parse_static_drop_ins
from tljh.proxy.static import (
    StaticInputs,
    entry_points_file,
    merge_all,
    static_configuration,
    static_file,
)
from tljh.resources import Absent, Directory, File, Resource

if TYPE_CHECKING:
    from tljh.config import Config
    from tljh.facts import Facts

TRAEFIK_GROUP = "traefik"
STATIC_FILE = "traefik.yaml"
ENTRY_POINTS_FILE = "entrypoints.json"


def traefik_resources(config: Config, facts: Facts, paths: Paths) -> list[Resource]:
    """Everything below Traefik's directory but users' routes, which are the hub's."""
    directory = paths.traefik_dir
    static = merge_all(
        static_configuration(static_inputs(config, paths)),
        parse_static_drop_ins(facts.traefik_drop_ins, paths.traefik_drop_ins),
    )
    inputs = dynamic_inputs(config, facts, paths)
    wanted = dynamic_files(inputs, facts.rules)
    stale = stale_files(facts.dynamic_files, wanted)
    return [
        _directory(paths, ""),
        _directory(paths, "dynamic"),
        _directory(paths, "certs"),
        *(_file(paths, file.path.relative_to(directory).as_posix(), file.content)
          for file in wanted),
        *(Absent(directory / "dynamic" / name) for name in stale),
        _file(paths, ENTRY_POINTS_FILE, entry_points_file(static).encode()),
        _file(paths, STATIC_FILE, static_file(static, paths.config_dir).encode()),
    ]  # fmt: skip


def _directory(paths: Paths, name: str) -> Directory:
    # setgid: what the hub writes there belongs to Traefik's group.
    mode = 0o2750 if name == "dynamic" else 0o750
    return Directory(paths.traefik_dir / name, mode, group=TRAEFIK_GROUP)


def _file(paths: Paths, name: str, content: bytes) -> File:
    is_secret = name.startswith("certs/") or name == "dynamic/tljh.yaml"
    return File(
        paths.traefik_dir / name, content, mode=0o640, group=TRAEFIK_GROUP, secret=is_secret
    )


def static_inputs(config: Config, paths: Paths) -> StaticInputs:
    return StaticInputs(
        http_port=config.http.port,
        http_address=config.http.address,
        https_port=config.https.port if config.https.enabled else None,
        https_address=config.https.address,
        api_port=config.traefik_api.port,
        api_address=config.traefik_api.ip,
        trusted_proxies=tuple(config.trusted_proxies),
        drain_s=config.proxy.drain_timeout_s,
        directory=paths.traefik_dir,
        config_directory=paths.config_dir,
    )


def dynamic_inputs(config: Config, facts: Facts, paths: Paths) -> DynamicInputs:
    return DynamicInputs(
        api_username=config.traefik_api.username,
        api_password_hash=api_password_hash(config.traefik_api.password or facts.api_secret),
        certificates=own_certificates(config, facts.certificate_files),
        has_https=config.https.enabled,
        directory=paths.traefik_dir,
    )


def own_certificates(config: Config, files: Mapping[str, bytes | None]) -> Sequence[Certificate]:
    """The certificate to serve, from the files that were read.

    Raises TljhError for a file that cannot be read, or a way to get certificates that this
    release does not have.
    """
    mode = config.https.effective_mode
    if mode is None:
        return ()
    if mode != "tls":
        raise TljhError(
            f"https.mode {mode} is not available in this release",
            why="only a certificate of your own (https.tls.cert and https.tls.key) can be served",
            fix="sudo tljh-config set https.enabled false",
        )
    chain, key = files.get(config.https.tls.cert), files.get(config.https.tls.key)
    for name, path, data in (
        ("cert", config.https.tls.cert, chain),
        ("key", config.https.tls.key, key),
    ):
        if data is None:
            raise TljhError(
                f"https.tls.{name} names a file that cannot be read: {path}",
                fix=f"put the file there, or: sudo tljh-config set https.tls.{name} /its/path",
            )
    return (Certificate(chain or b"", key or b""),)
