"""Admins' drop-ins for Traefik: static ones in traefik_config.d/, dynamic ones in state/rules/.

The checks here need no Traefik, and their findings have file, line and column. The rest is for
Traefik itself (tljh/proxy/candidate_check.py).
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from tljh.base.errors import Finding, Place, TljhError
from tljh.base.paths import Paths
from tljh.proxy.supervisor.interface import READY_ENTRY_POINT
from tljh.proxy.supervisor.sockets import split_address
from tljh.proxy.traefik_dynamic import RESERVED_FILES
from tljh.proxy.traefik_static import Tree

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


SUFFIXES = (".toml", ".yaml", ".yml")


STATIC_SECTIONS = (
    "accessLog",
    "api",
    "certificatesResolvers",
    "core",
    "entryPoints",
    "experimental",
    "global",
    "hostResolver",
    "log",
    "metrics",
    "ocsp",
    "ping",
    "providers",
    "serversTransport",
    "spiffe",
    "tcpServersTransport",
    "tracing",
)


DYNAMIC_SECTIONS = ("http", "tcp", "udp", "tls")


# A drop-in that changes one of these needs no address; any other entry point does.
OUR_ENTRY_POINTS = ("http", "https", "auth_api")


# Values of settings of Traefik's log, in lower case: it ignores the case, too.
LOG_CHOICES = {
    "format": ("common", "json"),
    "level": ("trace", "debug", "info", "warn", "error", "fatal", "panic"),
}


# How the names of our own routers and middlewares begin.
RESERVED_PREFIX = "tljh-"


# Files that TLJH wrote to the same directory: its routes, and what dynamic/ contains today.
NOT_ADMINS_OWN = (Paths().traefik_routes_file.name, "dynamic.toml")


_TOML_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def select_admins_files(names: Iterable[str]) -> list[str]:
    """Return which names of a directory are drop-ins of the admin, in the order of reading."""
    return sorted(
        name
        for name in names
        if name.endswith(SUFFIXES) and not name.startswith(".") and name not in NOT_ADMINS_OWN
    )


def parse_static_drop_ins(files: Mapping[str, bytes], directory: Path) -> list[Tree]:
    """Parse the static drop-ins in the order of their names. Raises TljhError with all mistakes."""
    trees: list[Tree] = []
    findings: list[Finding] = []
    for name in select_admins_files(files):
        path = directory / name
        try:
            tree = parse(path, files[name])
        except TljhError as problem:
            findings += problem.findings
            continue
        findings += _find_unknown_sections(path, files[name], tree, STATIC_SECTIONS, "static")
        findings += _find_reserved_settings(path, files[name], tree)
        trees.append(tree)
    if findings:
        raise TljhError(findings)
    return trees


def check_rules(files: Mapping[str, bytes], directory: Path) -> list[Finding]:
    """Return the mistakes in the admins' dynamic files.

    Traefik would ignore all files of the directory because of one.
    """
    findings: list[Finding] = []
    seen: dict[tuple[str, str, str], Path] = {}
    for name in select_admins_files(files):
        path = directory / name
        if name in RESERVED_FILES:
            what = f"{name} is the name of a file that tljh writes"
            findings.append(Finding(what, Place(str(path)), fix=f"mv {path} {directory}/my-{name}"))
            continue
        try:
            tree = parse(path, files[name])
        except TljhError as problem:
            findings += problem.findings
            continue
        findings += _find_template_code(path, files[name])
        findings += _find_unknown_sections(path, files[name], tree, DYNAMIC_SECTIONS, "dynamic")
        for section, kind, item in _list_definitions(tree):
            findings += _find_taken_names(path, files[name], (section, kind, item), seen)
    return findings


def parse(path: Path, content: bytes) -> Tree:
    """Parse a TOML or YAML file. Raises TljhError with the line."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise TljhError("the file is not UTF-8 text", where=Place(str(path), line)) from None
    tree = _parse_toml(path, text) if path.suffix == ".toml" else _parse_yaml(path, text)
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        what = f"the file must contain sections, not a {type(tree).__name__}"
        raise TljhError(what, where=Place(str(path), 1))
    return tree


def find_line(content: bytes, *keys: str) -> int | None:
    """Return the line of a file that has the last of `keys` below the earlier ones.

    The text is searched, as tomllib gives no positions: good enough for the place of a message.
    """
    lines = content.decode(errors="replace").splitlines()
    index = 0
    for key in keys:
        pattern = re.compile(rf"""(^|[\s\[.{{,"'`-]){re.escape(key)}["']?\s*[=:.\]]""", re.I)
        match = next((n for n in range(index, len(lines)) if pattern.search(lines[n])), None)
        if match is None:
            return None
        index = match
    return index + 1


def _parse_toml(path: Path, text: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        message = str(problem)
        position = _TOML_POSITION.search(message)
        line = column = None
        if position and position[1]:
            line, column = int(position[1]), int(position[2])
        elif position:
            line = max(1, len(text.splitlines()))
        what = _TOML_POSITION.sub("", message)
        raise TljhError(
            f"not valid TOML: {what[:1].lower()}{what[1:]}", where=Place(str(path), line, column)
        ) from None


def _parse_yaml(path: Path, text: str) -> Any:
    reader = YAML(typ="safe", pure=True)
    try:
        return reader.load(text)
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = Place(str(path), mark.line + 1, mark.column + 1) if mark else Place(str(path))
        raise TljhError(f"not valid YAML: {problem.problem}", where=where) from None
    except YAMLError as problem:
        first = str(problem).splitlines()[0]
        raise TljhError(f"not valid YAML: {first}", where=Place(str(path))) from None


def _find_unknown_sections(
    path: Path, content: bytes, tree: Tree, sections: tuple[str, ...], kind: str
) -> Iterator[Finding]:
    by_lower = {name.lower(): name for name in sections}
    for name in tree:
        if str(name).lower() in by_lower:
            continue
        near = difflib.get_close_matches(str(name).lower(), by_lower, 1)
        other = DYNAMIC_SECTIONS if kind == "static" else STATIC_SECTIONS
        if near:
            fix = f"did you mean {by_lower[near[0]]}?"
        elif str(name).lower() in {section.lower() for section in other}:
            place = "state/rules/" if kind == "static" else "config/traefik_config.d/"
            fix = f"move it to a file in {place}"
        else:
            fix = f"use one of: {', '.join(sections)}"
        what = f"{name} is not a section of Traefik's {kind} configuration"
        yield Finding(what, Place(str(path), find_line(content, str(name))), fix=fix)


def _get_child(tree: Any, *names: str) -> Any:
    """Return the value below a path of lower-case names; None if missing.

    Traefik ignores the case of names, so this does, too.
    """
    for name in names:
        if not isinstance(tree, Mapping):
            return None
        tree = next((value for key, value in tree.items() if str(key).lower() == name), None)
    return tree


def _find_reserved_settings(path: Path, content: bytes, tree: Tree) -> Iterator[Finding]:
    """Yield the settings in a static drop-in that only tljh may set, and unusable addresses."""
    file_provider = _get_child(tree, "providers", "file")
    for name in file_provider if isinstance(file_provider, Mapping) else ():
        yield Finding(
            f"providers.file.{name} belongs to tljh: users' routes come through it",
            Place(str(path), find_line(content, "file", str(name))),
            fix="put dynamic configuration into state/rules/ and remove the setting here",
        )
    entry_points = _get_child(tree, "entrypoints")
    if not isinstance(entry_points, Mapping | None):
        what = "entryPoints must contain entry points by name"
        yield Finding(what, Place(str(path), find_line(content, "entryPoints")))
    for name, entry_point in entry_points.items() if isinstance(entry_points, Mapping) else ():
        where = Place(str(path), find_line(content, str(name)))
        if str(name).lower() == READY_ENTRY_POINT:
            yield Finding(
                f"the entry point {READY_ENTRY_POINT} belongs to tljh",
                where,
                fix="give yours another name",
            )
        yield from _check_address(str(name), entry_point, where)
    yield from _find_wrong_log_settings(path, content, _get_child(tree, "log"))


def _find_wrong_log_settings(path: Path, content: bytes, log: Any) -> Iterator[Finding]:
    """Yield the settings of Traefik's own log that it would replace by a default, in silence.

    The trial of a configuration has its own log, so it cannot find these.
    """
    for name, choices in LOG_CHOICES.items():
        value = _get_child(log, name)
        if value is not None and str(value).lower() not in choices:
            near = difflib.get_close_matches(str(value).lower(), choices, 1)
            yield Finding(
                f"log.{name} of Traefik cannot be {value}",
                Place(str(path), find_line(content, "log", name)),
                fix=f"did you mean {near[0]}?" if near else f"use one of: {', '.join(choices)}",
            )


def _check_address(name: str, entry_point: Any, where: Place) -> Iterator[Finding]:
    address = _get_child(entry_point, "address")
    if address is None and isinstance(entry_point, Mapping) and name.lower() in OUR_ENTRY_POINTS:
        return
    address = "" if address is None else str(address)
    try:
        split_address(address.lower().removesuffix("/udp"))
    except ValueError as problem:
        yield Finding(f"entry point {name}: {problem}", where, fix="write it like :8080")


def _find_template_code(path: Path, content: bytes) -> Iterator[Finding]:
    # Traefik reads dynamic files as Go templates, which can read the environment.
    for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
        if "{{" in line:
            yield Finding(
                "{{ begins template code, which Traefik would run",
                Place(str(path), number, line.index("{{") + 1),
                fix="write the value itself; for a literal {{ in TOML: \\u007b\\u007b",
            )


def _list_definitions(tree: Tree) -> Iterator[tuple[str, str, str]]:
    """Yield section, kind and name of each object in a file, such as http, routers, mine."""
    for section, kinds in tree.items():
        for kind, items in kinds.items() if isinstance(kinds, Mapping) else ():
            for item in items if isinstance(items, Mapping) else ():
                yield str(section).lower(), str(kind).lower(), str(item)


def _find_taken_names(
    path: Path,
    content: bytes,
    definition: tuple[str, str, str],
    seen: dict[tuple[str, str, str], Path],
) -> Iterator[Finding]:
    """Yield a finding if tljh, or an earlier file (`seen`), defines an object of this name."""
    section, kind, item = definition
    # Certificates and stores of `tls` are not named.
    if section == "tls" and kind != "options":
        return
    where = Place(str(path), find_line(content, kind, item) or find_line(content, item))
    if item.startswith(RESERVED_PREFIX) or (section, kind, item) == ("tls", "options", "default"):
        fix = "give yours another name"
        if section == "tls":
            fix += ", and name it in entryPoints.https.http.tls.options in config/traefik_config.d/"
        yield Finding(f"{section}.{kind}.{item} belongs to tljh", where, fix=fix)
    elif definition in seen:
        yield Finding(
            f"{section}.{kind}.{item} is defined twice; Traefik would drop both",
            where,
            why=f"{seen[definition]} has it too",
            fix="give one of them another name",
        )
    seen.setdefault(definition, path)
