"""What an installation was asked for, and the configuration that follows from it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tljh.base.errors import Exit, TljhError
from tljh.plugins.manager import call, installed_plugins

FIRST_LINES = """\
The configuration of this hub. Change it with `sudo tljh-config set KEY VALUE`, or edit it by
hand with `sudo tljh-config edit`; `sudo tljh-config reload` makes changes count.
All settings: tljh-config describe
"""


@dataclass(frozen=True)
class Answers:
    """What the bootstrap was told; `passwords` are those that were given on its command line."""

    hub_environment: Path
    admins: tuple[str, ...] = ()
    passwords: Mapping[str, str] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    user_requirements: str | None = None
    conda_channels: tuple[str, ...] = ()
    http_port: int | None = None
    https_port: int | None = None
    plan: bool = False
    json: bool = False
    events_fd: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def read_answers(text: str) -> Answers:
    """Parse what the bootstrap passes on standard input.

    Raises TljhError (usage) when it is not what a bootstrap of this release writes.
    """
    try:
        told: dict[str, Any] = json.loads(text)
        parts = [str(item).partition(":") for item in told.get("admins", [])]
        names = [(name.lower(), colon, password) for name, colon, password in parts]
        if any(colon and not password for _, colon, password in names):
            raise ValueError("an empty password")
        return Answers(
            hub_environment=Path(told["hub_environment"]),
            admins=tuple(dict.fromkeys(name for name, _, _ in names)),
            passwords={name: password for name, _, password in names if password},
            plugins=tuple(told.get("plugins", ())),
            user_requirements=told.get("user_requirements"),
            conda_channels=tuple(told.get("conda_channels", ())),
            http_port=told.get("http_port"),
            https_port=told.get("https_port"),
            plan=bool(told.get("plan")),
            json=bool(told.get("json")),
            events_fd=told.get("events_fd"),
            environment=dict(told.get("env", {})),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TljhError(
            "the answers on standard input are not those of a bootstrap of this release",
            why=f"{type(error).__name__}: {error}",
            fix="install with: sudo python3 bootstrap.py --admin NAME",
            exit_code=Exit.USAGE,
        ) from error


def configuration_with(answers: Answers, old: bytes) -> bytes:
    """config.yaml as it shall be: what it was, and what was asked for on top of it.

    Admins and plugins are added, never replaced; plugins' `tljh_config_post_install` comes last.
    Comments and order survive. The same answers again change nothing.
    """
    document = _parsed(old) if old.strip() else _fresh()
    before = _dumped(document)
    there = {str(name).lower() for name in (document.get("users") or {}).get("admin") or ()}
    for name in answers.admins:
        if name not in there:
            _add(document, ("users", "admin"), name)
    for spec in answers.plugins:
        _add(document, ("plugins", "packages"), spec)
    if answers.conda_channels:
        _section(document, ("user_environment",))["channels"] = list(answers.conda_channels)
    if answers.http_port is not None:
        _section(document, ("http",))["port"] = answers.http_port
    if answers.https_port is not None:
        _section(document, ("https",))["port"] = answers.https_port
    _ask_plugins(document)
    after = _dumped(document)
    return old if old and after == before else after


def _ask_plugins(document: Any) -> None:
    """Let plugins change the configuration; sections of theirs that are new are allowed in it."""
    from tljh.settings.root import Config

    known = set(document)
    call(installed_plugins(), "tljh_config_post_install", config=document)
    for name in list(document):
        is_setting = name in Config.model_fields or str(name)[:1].isupper()
        if name not in known and not is_setting:
            _add(document, ("plugins", "sections"), str(name))


def _parsed(data: bytes) -> Any:
    from ruamel.yaml.error import YAMLError

    try:
        return _yaml().load(data) or _fresh()
    except YAMLError as error:
        raise TljhError(
            "config.yaml is not valid YAML, so nothing can be added to it",
            why=str(error),
            fix="see every problem with its line: sudo tljh-config check",
        ) from error


def _fresh() -> Any:
    from ruamel.yaml.comments import CommentedMap

    document = CommentedMap()
    document.yaml_set_start_comment(FIRST_LINES)
    return document


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 4096
    return yaml


def _dumped(document: Any) -> bytes:
    stream = io.BytesIO()
    _yaml().dump(document, stream)
    return stream.getvalue()


def _section(document: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if document.get(key) is None:
            document[key] = {}
        document = document[key]
    return document


def _add(document: Any, path: tuple[str, ...], item: str) -> None:
    parent = _section(document, path[:-1])
    if parent.get(path[-1]) is None:
        parent[path[-1]] = []
    if item not in parent[path[-1]]:
        parent[path[-1]].append(item)
